"""The window job on a real Kafka and a real Flink cluster, against the slow oracle, with faults.

Nothing else of the platform runs. The tests own the log's clock: each takes a later stretch of
event time than the one before, and heartbeats written by the test close its windows.
"""

from __future__ import annotations

import itertools
import json
import random
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra import settings as settings_module
from infra.kafka.producer import Producer, Record
from infra.topics import LEARNING_EVENTS
from ingestion.events import codec
from ingestion.events.event import Event
from ingestion.events.key import partition_key
from stream_jobs.patterns.watermark import OUT_OF_ORDERNESS_MS
from stream_jobs.patterns.window import WINDOW_SIZE_MS, window_start
from tests.support.builders import event, random_log
from tests.support.platform import Platform, wait_for
from tests.support.window_topic import WindowTopic, differences

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PORT_BASE = "24000"
SLOT_MS = 6 * WINDOW_SIZE_MS
_slots = itertools.count()


class Job:
    """The running job: a way to write into its log, to look at its results and to hurt it."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.windows = WindowTopic(platform.settings.kafka_bootstrap)

    def put(self, log: Sequence[Event]) -> None:
        # Brokers refuse record times far ahead; the job looks at the events' times only.
        self._publish(
            [Record(LEARNING_EVENTS.name, partition_key(e), codec.encode(e)) for e in log]
        )

    def put_everywhere(self, value: bytes | None) -> None:
        """One record of these bytes in every partition."""
        self._publish(
            [
                Record(LEARNING_EVENTS.name, b"k", value, 0, partition)
                for partition in range(LEARNING_EVENTS.partitions)
            ]
        )

    def wait_for(self, client_id: str, log: Sequence[Event]) -> None:
        wait_for(
            f"the windows of {client_id} to equal the oracle's",
            lambda: not differences(log, self.windows.found(client_id)),
            timeout_s=150,
        )

    def checkpoints(self) -> dict[str, Any]:
        """Flink's account of the newest job's checkpoints."""
        jobs = self._rest("/jobs/overview")["jobs"]
        newest = max(jobs, key=lambda job: job["start-time"])
        return dict(self._rest(f"/jobs/{newest['jid']}/checkpoints"))

    def wait_for_checkpoint(self) -> None:
        """One that began after now: the second to complete from here on."""
        before = self.checkpoints()["counts"]["completed"]
        wait_for(
            "two more checkpoints",
            lambda: self.checkpoints()["counts"]["completed"] >= before + 2,
            timeout_s=90,
        )

    def _publish(self, records: Sequence[Record]) -> None:
        producer = Producer(
            self.platform.settings.kafka_bootstrap, client_id="test", timeout_ms=60_000
        )
        try:
            producer.publish_and_wait(records)
        finally:
            producer.close()

    def _rest(self, path: str) -> Any:
        with urllib.request.urlopen(self.platform.settings.flink_url + path, timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    home = Path(tmp_path_factory.mktemp("flink"))
    platform = Platform(
        home,
        {
            "SAGESTREAM_PORT_BASE": PORT_BASE,
            "SAGESTREAM_FLINK_CHECKPOINT_INTERVAL_MS": "3000",
        },
    )
    try:
        platform.command("up", "--only", "flink-job", "--json")
        platform.settings = settings_module.load(home=home)
        running = Job(platform)
        yield running
        running.windows.close()
    finally:
        platform.down()


@pytest.fixture(scope="module")
def first_slot_ms() -> int:
    return window_start(int(time.time() * 1000))


@pytest.fixture
def slot_ms(first_slot_ms: int) -> int:
    """The start of a stretch of event time that the log has not reached yet."""
    return first_slot_ms + next(_slots) * SLOT_MS


def log_of(client_id: str, start_ms: int, events: int, seed: int = 5) -> list[Event]:
    """Three windows' worth, every session busy, one copy in twenty."""
    return random_log(
        seed,
        events=events,
        sessions=300,
        clients=(client_id,),
        span_ms=3 * WINDOW_SIZE_MS,
        start_ms=start_ms,
    )


def received_early(log: Sequence[Event], start_ms: int) -> list[Event]:
    """The same events, said to have been received at the start: the clock waits for heartbeats."""
    return [e._replace(received_at=start_ms) for e in log]


def test_a_shuffled_log_with_copies_equals_the_oracle(job: Job, slot_ms: int) -> None:
    log = received_early(log_of("shuffled", slot_ms, 6_000), slot_ms)
    random.Random(1).shuffle(log)
    job.put(log)
    job.platform.tell_time(slot_ms + SLOT_MS)
    job.wait_for("shuffled", log)


def test_an_event_on_a_windows_edge_falls_on_our_side_of_it(job: Job, slot_ms: int) -> None:
    log = [
        event(f"e-{at_ms}", client_id="edges", at_ms=slot_ms + at_ms, received_at=slot_ms)
        for at_ms in (0, 1, WINDOW_SIZE_MS - 1, WINDOW_SIZE_MS, 2 * WINDOW_SIZE_MS - 1)
    ]
    job.put(log)
    job.platform.tell_time(slot_ms + SLOT_MS)
    job.wait_for("edges", log)


def test_a_window_fires_at_the_very_millisecond_that_our_watermark_names(
    job: Job, slot_ms: int
) -> None:
    """One short of it, an event of the window still counts."""
    end = slot_ms + WINDOW_SIZE_MS
    early = event("early", client_id="moment", at_ms=slot_ms)
    last = event("last", client_id="moment", at_ms=end - 1, received_at=slot_ms)
    job.put([early])
    job.platform.tell_time(end + OUT_OF_ORDERNESS_MS - 1)
    job.wait_for_checkpoint()  # the clock has certainly been read
    assert job.windows.found("moment") == {}
    job.put([last])
    job.wait_for_checkpoint()
    job.platform.tell_time(end + OUT_OF_ORDERNESS_MS)
    job.wait_for("moment", [early, last])


def test_a_burst_after_quiet_partitions_loses_no_window(job: Job, slot_ms: int) -> None:
    """Only heartbeats for a while, in every partition, then everything at once."""
    for minute in range(10):
        job.platform.tell_time(slot_ms + minute * 60_000)
    start_ms = slot_ms + 2 * WINDOW_SIZE_MS
    log = log_of("burst", start_ms, 6_000, seed=9)
    job.put(log)
    job.platform.tell_time(slot_ms + SLOT_MS)
    job.wait_for("burst", log)


POISON: tuple[bytes | None, ...] = (
    None,
    b"",
    b"not json",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe\xfa",
    b"[" * 100_000,
    b'{"event_time":' + b"9" * 50_000 + b"}",
)


def test_poison_neither_stops_the_job_nor_moves_its_clock(job: Job, slot_ms: int) -> None:
    log = received_early(log_of("among-poison", slot_ms, 2_000, seed=11), slot_ms)
    whole = json.loads(codec.encode(event("far", client_id="poison", at_ms=slot_ms)))
    far_ms = slot_ms + 50 * SLOT_MS
    far = whole | {"event_time": far_ms, "received_at": far_ms}
    damaged: list[dict[str, Any]] = [
        *({k: v for k, v in far.items() if k != name} for name in ("event_id", "body_hash", "v")),
        *(far | {name: None} for name in ("client_id", "session_id", "event_type", "event_data")),
        far | {"event_data": []},
        far | {"event_time": far_ms + 0.5},
        far | {"event_time": {"event_time": far_ms}},
        far | {"event_time": 2**63, "received_at": 2**63},
        far | {"event_time": -1},
        whole | {"event_type": "a\x1fb\x1ec\x00"},
        whole | {"success": "yes"},
        whole | {"success_score": 11},
        whole | {"body_hash": "short"},
        whole | {"session_id": "s" * 3_000_000},
    ]
    job.put(log[:1_000])
    for value in (*POISON, *(json.dumps(fields).encode() for fields in damaged)):
        job.put_everywhere(value)
    job.put(log[1_000:])
    job.platform.tell_time(slot_ms + SLOT_MS)
    job.wait_for("among-poison", log)
    assert job.windows.found("poison") == {}


def test_a_task_manager_killed_in_mid_stream_changes_no_window(job: Job, slot_ms: int) -> None:
    log = received_early(log_of("task-manager", slot_ms, 20_000, seed=13), slot_ms)
    job.put(log[:8_000])
    job.wait_for_checkpoint()
    job.put(log[8_000:12_000])
    job.platform.kill("flink-taskmanager")
    job.put(log[12_000:])
    job.platform.tell_time(slot_ms + SLOT_MS)
    job.platform.command("up", "--only", "flink-job", "--json")
    job.wait_for("task-manager", log)


def test_a_dead_cluster_goes_on_from_its_newest_checkpoint(job: Job, slot_ms: int) -> None:
    log = received_early(log_of("cluster", slot_ms, 6_000, seed=17), slot_ms)
    job.put(log[:3_000])
    job.wait_for_checkpoint()
    job.platform.kill("flink-jobmanager")
    job.platform.kill("flink-taskmanager")
    job.put(log[3_000:])
    job.platform.tell_time(slot_ms + SLOT_MS)
    job.platform.command("up", "--only", "flink-job", "--json")
    assert job.checkpoints()["latest"]["restored"] is not None
    job.wait_for("cluster", log)
