"""The loop moves on only when every message has its report, and loses nothing to an outage."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pytest

from infra.clock import ManualClock
from infra.errors import RetryLater
from infra.kafka.consumer import BatchConsumer, ConsumedRecord, PartitionKey
from infra.kafka.producer import Producer, Record
from infra.topics import DEAD_LETTERS, LATE_EVENTS, SESSION_WINDOWS
from storage.postgres import window_events
from storage.postgres.errors import PostgresAway
from storage.postgres.pool import Pool
from stream_jobs.late_repair.process import LateRepair
from stream_jobs.patterns.signals import DEFAULT_SIGNALS
from tests.support.builders import DAY_MS, window_event


class FakeConsumer:
    """Hands out batches once, then tells the loop to stop."""

    def __init__(self, batches: list[list[ConsumedRecord]], stopping: threading.Event) -> None:
        self._batches = batches
        self._stopping = stopping
        self.committed: list[Mapping[PartitionKey, int]] = []
        self.refuse_commits = 0
        self.refuse_reads = 0
        self.closed = False
        self.assignment = frozenset({(LATE_EVENTS.name, 0), (LATE_EVENTS.name, 1)})

    def read(self, _records_max: int, _wait_s: float) -> list[ConsumedRecord]:
        if self.refuse_reads:
            self.refuse_reads -= 1
            raise RetryLater("Kafka is away.")
        if self._batches:
            return self._batches.pop(0)
        self._stopping.set()
        return []

    def commit(self, next_offsets: Mapping[PartitionKey, int]) -> None:
        if self.refuse_commits:
            self.refuse_commits -= 1
            raise RetryLater("Kafka is away.")
        self.committed.append(dict(next_offsets))

    def lag(self) -> dict[PartitionKey, int]:
        return {}

    def close(self) -> None:
        self.closed = True


class FakeProducer:
    def __init__(self) -> None:
        self.published: list[Record] = []
        self.refuse = 0

    def publish_and_wait(self, records: Sequence[Record]) -> None:
        if self.refuse:
            self.refuse -= 1
            raise RetryLater("Kafka is away.")
        self.published += records


class FakePool:
    def __init__(self) -> None:
        self.refuse = 0

    @contextmanager
    def connection(self) -> Iterator[None]:
        if self.refuse:
            self.refuse -= 1
            raise PostgresAway("Postgres is away.")
        yield


class Quick(threading.Event):
    """An event whose waits end at once, and remember how long they would have been."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return self.is_set()


class Bench:
    def __init__(self, batches: list[list[ConsumedRecord]]) -> None:
        self.stopping = Quick()
        self.consumer = FakeConsumer(batches, self.stopping)
        self.producer = FakeProducer()
        self.pool = FakePool()
        self.repair = LateRepair(
            cast(Pool, self.pool), cast(Producer, self.producer), DEFAULT_SIGNALS, ManualClock()
        )

    def run(self) -> None:
        self.repair.run(cast(BatchConsumer, self.consumer), self.stopping)

    def topics(self) -> list[str]:
        return [record.topic for record in self.producer.published]


@pytest.fixture(autouse=True)
def stored(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_connection: Any, windows: Sequence[Any]) -> dict[Any, Any]:
        return {window: (0, [window_event()]) for window in windows}

    monkeypatch.setattr(window_events, "read", read)


def late(partition: int, offset: int, session_id: str = "s-1") -> ConsumedRecord:
    body = {"client_id": "acme", "session_id": session_id, "window_start": DAY_MS}
    return ConsumedRecord(LATE_EVENTS.name, partition, offset, b"", json.dumps(body).encode(), 0)


def test_a_batch_is_committed_after_its_results_are_published() -> None:
    bench = Bench([[late(0, 4), late(1, 9), late(0, 5)]])
    bench.run()
    assert bench.topics() == [SESSION_WINDOWS.name]
    assert bench.consumer.committed == [{(LATE_EVENTS.name, 0): 6, (LATE_EVENTS.name, 1): 10}]
    assert bench.consumer.closed


def test_while_postgres_is_away_the_batch_is_kept_and_the_waits_grow() -> None:
    bench = Bench([[late(0, 4)]])
    bench.pool.refuse = 8
    bench.run()
    assert bench.topics() == [SESSION_WINDOWS.name]
    assert bench.consumer.committed == [{(LATE_EVENTS.name, 0): 5}]
    assert bench.stopping.waits == sorted(bench.stopping.waits)
    assert max(bench.stopping.waits) <= 5
    assert bench.repair.trouble is None


def test_while_kafka_takes_nothing_nothing_is_committed() -> None:
    bench = Bench([[late(0, 4)], [late(0, 5, "s-2")]])
    bench.producer.refuse = 3
    bench.run()
    assert bench.topics() == [SESSION_WINDOWS.name] * 2
    assert bench.consumer.committed[0] == {(LATE_EVENTS.name, 0): 5}


def test_a_stop_during_an_outage_leaves_the_batch_for_the_next_process() -> None:
    bench = Bench([[late(0, 4)]])
    bench.pool.refuse = 1_000_000
    bench.stopping.wait = lambda timeout=None: bench.stopping.set() or True  # type: ignore[assignment,func-returns-value]
    bench.run()
    assert bench.consumer.committed == []
    assert bench.consumer.closed


def test_a_refused_commit_is_not_the_end() -> None:
    bench = Bench([[late(0, 4)], [late(0, 5)]])
    bench.consumer.refuse_commits = 1
    bench.run()
    assert bench.consumer.committed == [{(LATE_EVENTS.name, 0): 6}]


def test_a_malformed_record_goes_to_the_dead_letter_topic_and_the_rest_is_repaired() -> None:
    bad = ConsumedRecord(LATE_EVENTS.name, 0, 5, b"", b"\x00", 0)
    bench = Bench([[late(0, 4), bad, late(0, 6, "s-2")]])
    bench.run()
    assert bench.topics() == [SESSION_WINDOWS.name] * 2 + [DEAD_LETTERS.name]
    assert bench.consumer.committed == [{(LATE_EVENTS.name, 0): 7}]


def test_the_process_is_ready_again_once_kafka_answers_even_without_late_events() -> None:
    bench = Bench([])
    bench.consumer.refuse_reads = 2
    bench.run()
    assert bench.repair.trouble is None
