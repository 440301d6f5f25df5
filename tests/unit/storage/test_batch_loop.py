"""The main loop of every writer: whatever happens, each record is handled once, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest

from infra.clock import ManualClock
from infra.errors import RetryLater
from infra.kafka.consumer import ConsumedRecord, PartitionKey
from storage.postgres import offsets
from storage.postgres.errors import PostgresAway
from storage.postgres.offsets import PartitionCounts, Position
from storage.postgres.pool import Connection
from storage.writers.batch_loop import BatchLoop, Pace, Stored
from storage.writers.errors import LogRestarted
from tests.support.kafka_log import MemoryLog

TOPIC = "some-topic"
KEY = (TOPIC, 0)


class FakeStore:
    """Plays Postgres and the writer's core: remembers values and positions."""

    group = "some-group"

    def __init__(self) -> None:
        self.positions: dict[PartitionKey, Position] = {}
        self.values: list[bytes | None] = []
        self.failures: list[Exception] = []
        self.idle_rounds = 0

    def open(self, connection: Connection) -> None: ...

    def store_batch(
        self,
        connection: Connection,
        records: Sequence[ConsumedRecord],
        positions: Mapping[PartitionKey, Position],
    ) -> Stored:
        if self.failures:
            raise self.failures.pop(0)
        after: dict[PartitionKey, Position] = {}
        for record in records:
            key = (record.topic, record.partition)
            assert after.get(key, positions[key]).next_offset <= record.offset
            after[key] = Position(record.offset + 1)
            self.values.append(record.value)
        self.positions.update(after)
        counts = {key: PartitionCounts(records=1, inserted=1) for key in after}
        return Stored(after, counts)

    def between_batches(self, connection: Connection, *, caught_up: bool) -> None:
        self.idle_rounds += 1

    def load(
        self, _connection: Connection, _group: str, keys: Sequence[PartitionKey]
    ) -> dict[PartitionKey, Position]:
        return {key: self.positions.get(key, Position()) for key in keys}


class FakeSource:
    """Plays the consumer: an assignment at the first read, a position that `seek` moves."""

    def __init__(self, log: MemoryLog, loop: BatchLoop, stop: Callable[[], bool]) -> None:
        self.log = log
        self.loop = loop
        self.stopping = threading.Event()
        self._stop = stop
        self.at: dict[PartitionKey, int] = {}
        self.committed: dict[PartitionKey, int] = {}
        self.troubles: list[Exception] = []
        self.reads = 0

    @property
    def assignment(self) -> frozenset[PartitionKey]:
        return frozenset(self.at)

    def read(self, records_max: int, wait_s: float) -> list[ConsumedRecord]:
        self.reads += 1
        assert self.reads < 500, "the loop does not come to an end"
        if not self.at:
            keys = [(TOPIC, number) for number in range(len(self.log.partitions))]
            starts = self.loop.start_offsets(keys)
            self.at = {key: starts.get(key, 0) for key in keys}
        if self.troubles:
            raise self.troubles.pop(0)
        found: list[ConsumedRecord] = []
        for key, at in self.at.items():
            records = [r for r in self.log.partitions[key[1]] if r.offset >= at]
            found += records[: records_max - len(found)]
        for record in found:
            self.at[record.topic, record.partition] = record.offset + 1
        if not found and self._stop():
            self.stopping.set()
        return found

    def commit(self, next_offsets: Mapping[PartitionKey, int]) -> None:
        self.committed.update(next_offsets)

    def seek(self, next_offsets: Mapping[PartitionKey, int]) -> None:
        self.at.update(next_offsets)

    def lag(self) -> dict[PartitionKey, int]:
        return {}

    def close(self) -> None: ...


class FakeConnection:
    closed = False

    def close(self) -> None:
        self.closed = True


class Rig:
    """A loop between a fake source and a fake store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, records: int = 10) -> None:
        self.log = MemoryLog(TOPIC)
        for number in range(records):
            self.log.append(b"%d" % number)
        self.store = FakeStore()
        self.connects: list[Exception | None] = []
        monkeypatch.setattr(offsets, "load", self.store.load)
        self.loop = BatchLoop(
            self.store,
            connect=self.connect,
            committed=lambda: None,
            pace=Pace(3, 0.0),
            clock=ManualClock(),
        )
        self.source = FakeSource(self.log, self.loop, lambda: True)

    def connect(self) -> Connection:
        if self.connects:
            trouble = self.connects.pop(0)
            if trouble is not None:
                raise trouble
        return cast(Connection, FakeConnection())

    def run(self) -> list[bytes | None]:
        self.loop.run(self.source, self.source.stopping)
        return self.store.values


def everything(count: int = 10) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch)


def test_every_record_is_handled_once_in_order_and_told_to_kafka(rig: Rig) -> None:
    assert rig.run() == everything()
    assert rig.source.committed == {KEY: 10}
    assert rig.loop.trouble is None


def test_reading_begins_where_the_store_stands_not_where_kafka_does(rig: Rig) -> None:
    rig.store.positions[KEY] = Position(4)
    assert rig.run() == everything()[4:]


@pytest.mark.parametrize("trouble", [PostgresAway("gone"), RetryLater("busy")])
def test_a_batch_that_could_not_be_stored_is_read_again(rig: Rig, trouble: Exception) -> None:
    rig.store.failures = [trouble, trouble]
    assert rig.run() == everything()


def test_a_store_that_is_away_at_the_assignment_skips_nothing(rig: Rig) -> None:
    rig.store.positions[KEY] = Position(4)
    rig.connects = [PostgresAway("no"), PostgresAway("no"), PostgresAway("still no"), None]
    assert rig.run() == everything()[4:]


def test_a_broker_that_is_away_skips_nothing(rig: Rig) -> None:
    rig.source.troubles = [RetryLater("away"), RetryLater("away")]
    assert rig.run() == everything()


def test_a_reader_that_lost_records_is_sent_back_for_them(rig: Rig) -> None:
    original = rig.source.read
    dropped: list[Any] = []

    def forgetful(records_max: int, wait_s: float) -> list[ConsumedRecord]:
        records = original(records_max, wait_s)
        if not dropped and records and records[0].offset == 3:
            dropped.append(records.pop(0))
        return records

    rig.source.read = forgetful  # type: ignore[method-assign]
    assert rig.run() == everything()
    assert dropped


def test_records_that_are_gone_from_the_log_do_not_stop_the_rest(rig: Rig) -> None:
    del rig.log.partitions[0][2:5]
    assert rig.run() == [b"0", b"1", *everything()[5:]]


def test_a_log_that_began_again_stops_the_process_instead_of_skipping(rig: Rig) -> None:
    rig.store.positions[KEY] = Position(100)
    original = rig.source.seek

    def out_of_range(next_offsets: Mapping[PartitionKey, int]) -> None:
        original(dict.fromkeys(next_offsets, 0))  # Kafka starts over at the earliest record

    rig.source.seek = out_of_range  # type: ignore[method-assign]
    rig.source.at = {KEY: 0}
    with pytest.raises(LogRestarted, match="below the stored position 100"):
        rig.run()
    assert rig.store.values == []


def test_trouble_is_told_while_it_lasts(rig: Rig) -> None:
    told: list[str | None] = []
    original = rig.source.read

    def watching(records_max: int, wait_s: float) -> list[ConsumedRecord]:
        told.append(rig.loop.trouble)
        return original(records_max, wait_s)

    rig.source.read = watching  # type: ignore[method-assign]
    rig.store.failures = [PostgresAway("the store is away")]
    rig.run()
    assert any("the store is away" in (trouble or "") for trouble in told)
    assert rig.loop.trouble is None
