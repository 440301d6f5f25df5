"""The whole platform as a user starts it, for integration tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg

from infra import settings as settings_module
from infra.kafka.admin import KafkaAdmin
from infra.kafka.producer import Producer, Record
from infra.settings import Settings
from infra.topics import LATE_EVENTS, LEARNING_EVENTS, SESSION_WINDOWS
from ingestion.events.codec import heartbeat

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).parent / "sagestream"
Found = TypeVar("Found")


def wait_for(what: str, probe: Callable[[], Found], *, timeout_s: float = 60.0) -> Found:
    """Call `probe` until it returns something true; fail saying what was awaited."""
    deadline = time.monotonic() + timeout_s
    last: Any = None
    while time.monotonic() < deadline:
        last = probe()
        if last:
            return last
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {timeout_s:.0f} s; last seen {last!r}")


class Platform:
    """One running platform: commands, stores and faults."""

    def __init__(self, home: Path, overrides: Mapping[str, str]) -> None:
        self.home = home
        self.environment = {**os.environ, "SAGESTREAM_HOME": str(home), **overrides}
        self.settings: Settings

    def command(self, *arguments: str, check: bool = True, text: str | None = None) -> str:
        """Run `sagestream …` and return its standard output."""
        outcome = subprocess.run(
            [str(COMMAND), *arguments],
            cwd=ROOT,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        if check and outcome.returncode != 0:
            raise AssertionError(
                f"sagestream {' '.join(arguments)} ended with {outcome.returncode}:\n"
                f"{outcome.stdout}\n{outcome.stderr}"
            )
        return outcome.stdout

    def up(self) -> None:
        self.command("up", "--json")
        self.settings = settings_module.load(home=self.home)

    def down(self) -> None:
        self.command("down", "--json", check=False)

    def key(self, client_id: str, *scopes: str) -> str:
        """A fresh API key of a tenant."""
        arguments = ["keys", "create", client_id, "--json"]
        for scope in scopes or ("ingest", "read"):
            arguments += ["--scope", scope]
        return str(json.loads(self.command(*arguments))["key"])

    def post_events(self, key: str, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """One request to the gateway; fails unless it answers 200."""
        answer = httpx.post(
            f"{self.settings.gateway_url}/v1/events",
            json=list(events),
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def tell_time(self, now_ms: int) -> None:
        """Heartbeats in every partition: the log's clock moves on, as a gateway would move it."""
        producer = Producer(self.settings.kafka_bootstrap, client_id="test-clock")
        try:
            producer.publish_and_wait(
                [
                    Record(LEARNING_EVENTS.name, b"_heartbeat", heartbeat(n, now_ms), 0, n)
                    for n in range(LEARNING_EVENTS.partitions)
                ]
            )
        finally:
            producer.close()

    def put_record(self, value: bytes | None, partition: int) -> None:
        """A record straight into the log, past every check."""
        producer = Producer(self.settings.kafka_bootstrap, client_id="test-poison")
        try:
            producer.publish_and_wait([Record(LEARNING_EVENTS.name, b"k", value, 0, partition)])
        finally:
            producer.close()

    def windows_of(self, client_id: str) -> dict[tuple[str, int], tuple[int, Any]]:
        """(session, window start in ms) → (revision, observations as stored)."""
        rows = self.query(
            "SELECT session_id, (extract(epoch FROM window_start) * 1000)::bigint, revision,"
            " industry, campaign_type, observations FROM session_windows WHERE client_id = %s",
            [client_id],
        )
        return {
            (session, start): (
                revision,
                tuple(
                    (industry, campaign, None if path is None else tuple(path), ppm)
                    for path, ppm in observations
                ),
            )
            for session, start, revision, industry, campaign, observations in rows
        }

    def query(self, statement: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows from Postgres."""
        with psycopg.connect(self.settings.postgres_dsn) as connection:
            return connection.execute(statement, tuple(parameters)).fetchall()

    def sql(self, statement: str) -> str:
        """The answer of ClickHouse, as an analyst with curl would get it."""
        settings = self.settings
        answer = httpx.post(
            settings.clickhouse_url,
            params={"database": settings.clickhouse_database},
            content=statement,
            auth=(
                settings.clickhouse_analyst_user,
                settings.clickhouse_analyst_password.get_secret_value(),
            ),
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return answer.text.strip()

    def kill(self, part: str) -> int:
        """kill -9 the process of one part; returns its pid once it is gone."""
        pid = int(json.loads((self.home / "run" / f"{part}.json").read_text())["pid"])
        os.kill(pid, signal.SIGKILL)
        wait_for(f"{part} to be gone", lambda: not _alive(pid), timeout_s=10)
        return pid

    def settle(self, *, timeout_s: float = 120.0) -> None:
        """Wait until every record now in the log has been handled by every writer."""
        admin = KafkaAdmin(self.settings.kafka_bootstrap)
        for topic, group in (
            (LEARNING_EVENTS, "event-writer"),
            (LATE_EVENTS, "late-repair"),
            (SESSION_WINDOWS, "pattern-writer"),
        ):
            ends = admin.end_offsets([topic])

            def behind(group: str = group, ends: dict[Any, int] = ends) -> bool:
                at = admin.group_offsets(group)
                return all(at.get(partition, 0) >= end for partition, end in ends.items())

            wait_for(f"{group} to reach the end of {topic.name}", behind, timeout_s=timeout_s)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
