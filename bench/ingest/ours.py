"""The gateway as it ships, with one API key known from the start instead of Postgres.

Arguments: KAFKA_BOOTSTRAP PORT. Everything else is the default of the settings.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import NamedTuple

from infra.clock import SystemClock
from infra.http.server import serve
from infra.settings import Settings
from ingestion.gateway.main import build

KEY_ID = "benchkey"
KEY = f"ssk_{KEY_ID}_{'k' * 43}"


class BenchKey(NamedTuple):
    """What the key store would have answered."""

    key_id: str = KEY_ID
    key_hash: bytes = hashlib.sha256(KEY.encode()).digest()
    client_id: str = "bench"
    scopes: frozenset[str] = frozenset(("ingest",))
    revoked: bool = False


def find_key(key_id: str) -> BenchKey | None:
    return BenchKey() if key_id == KEY_ID else None


def main() -> int:
    bootstrap, port = sys.argv[1], int(sys.argv[2])
    settings = Settings(
        home=Path("bench/out"),
        kafka_bootstrap=bootstrap,
        gateway_port=port,
        # Heartbeats of a pause between blocks would be counted as delivered events.
        heartbeat_idle_ms=3_600_000,
    )
    return serve(build(settings, SystemClock(), find_key), settings.listen_host, port)


if __name__ == "__main__":
    sys.exit(main())
