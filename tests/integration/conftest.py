"""One real platform for all integration tests of a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.platform import Platform

PORT_BASE = "28000"
# A quiet partition is told the time after 2 s instead of 10 s, so that a quiet minute of
# production takes twelve seconds here; everything else is as shipped.
OVERRIDES = {
    "SAGESTREAM_PORT_BASE": PORT_BASE,
    "SAGESTREAM_HEARTBEAT_IDLE_MS": "2000",
    "SAGESTREAM_FLINK_CHECKPOINT_INTERVAL_MS": "5000",
}


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("platform")
    running = Platform(Path(home), OVERRIDES)
    try:
        running.up()
        yield running
    finally:
        running.down()
