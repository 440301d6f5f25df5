"""The loop from the log to ClickHouse: nothing is lost, whatever goes away."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pytest

from infra.clock import ManualClock
from infra.errors import RetryLater
from infra.kafka.consumer import ConsumedRecord, PartitionKey
from ingestion.events.codec import encode, heartbeat
from storage.clickhouse.client import Column
from storage.clickhouse.errors import ClickHouseAway, ClickHouseRefused
from storage.writers.analytics_writer import AnalyticsWriter
from stream_jobs.patterns.signals import SignalTable
from tests.support.builders import DAY_MS, event

KEY = ("learning-events", 0)


class Store:
    """ClickHouse that honours tokens and can be away, before or after it stored."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.tokens: list[str] = []
        self.away = 0
        self.lose_answers = 0
        self.refuses = False

    def insert(self, table: str, columns: Sequence[Column], token: str) -> None:
        assert table == "learning_events"
        if self.refuses:
            raise ClickHouseRefused("no such table")
        if self.away:
            self.away -= 1
            raise ClickHouseAway("away")
        if token not in self.tokens:
            self.tokens.append(token)
            self.rows += next(column.values for column in columns if column.name == "event_id")
        if self.lose_answers:
            self.lose_answers -= 1
            raise ClickHouseAway("the answer was lost")

    def trouble(self) -> str | None:
        return "away" if self.away else None


class Log:
    """One partition of Kafka."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self.values = list(values)
        self.at = 0
        self.committed = 0
        self.assigned = True
        self.commit_fails = 0
        self.seek_fails = 0

    @property
    def assignment(self) -> frozenset[PartitionKey]:
        return frozenset({KEY}) if self.assigned else frozenset()

    def read(self, records_max: int, wait_s: float) -> list[ConsumedRecord]:
        found = [
            ConsumedRecord(*KEY, offset, None, self.values[offset], DAY_MS)
            for offset in range(self.at, min(len(self.values), self.at + records_max))
        ]
        self.at += len(found)
        return found

    def commit(self, next_offsets: Mapping[PartitionKey, int]) -> None:
        if self.commit_fails:
            self.commit_fails -= 1
            raise RetryLater("the coordinator is away")
        self.committed = next_offsets[KEY]

    def seek(self, next_offsets: Mapping[PartitionKey, int]) -> None:
        if self.seek_fails:
            self.seek_fails -= 1
            raise RetryLater("not fetching yet")
        self.at = next_offsets[KEY]

    def lag(self) -> dict[PartitionKey, int]:
        return {KEY: len(self.values) - self.at}


def values(count: int, first: int = 0) -> list[bytes]:
    return [encode(event(f"e-{number}")) for number in range(first, first + count)]


def make(store: Store, log: Log, clock: ManualClock | None = None) -> AnalyticsWriter:
    return AnalyticsWriter(store, log, SignalTable(), clock or ManualClock(DAY_MS))


def run_until_committed(writer: AnalyticsWriter, log: Log) -> None:
    """The real loop, on its thread, until the log's end is committed."""
    stopping = threading.Event()

    class Watching(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return super().wait(0.001)

        def is_set(self) -> bool:
            return log.committed == len(log.values) or stopping.is_set()

    timer = threading.Timer(20, stopping.set)
    timer.start()
    writer.run(Watching())
    timer.cancel()
    assert log.committed == len(log.values)


def test_a_batch_is_committed_after_it_is_stored() -> None:
    store, log = Store(), Log(values(3))
    make(store, log).step()
    assert store.rows == ["e-0", "e-1", "e-2"]
    assert log.committed == 3


def test_nothing_is_committed_while_clickhouse_is_away() -> None:
    store, log = Store(), Log(values(3))
    store.away = 1
    writer = make(store, log)
    with pytest.raises(RetryLater):
        writer.step()
    assert log.committed == 0
    writer.step()
    assert (store.rows, log.committed) == (["e-0", "e-1", "e-2"], 3)


def test_a_block_whose_answer_was_lost_is_sent_again_with_the_same_token() -> None:
    store, log = Store(), Log(values(3))
    store.lose_answers = 2
    run_until_committed(make(store, log), log)
    assert store.rows == ["e-0", "e-1", "e-2"]


@pytest.mark.parametrize("seek_fails", [0, 3])
def test_records_polled_while_waiting_are_read_again(seek_fails: int) -> None:
    store, log = Store(), Log(values(3))
    writer = make(store, log)
    store.away = 4
    with pytest.raises(RetryLater):
        writer.step()
    log.values += values(5, first=3)
    log.seek_fails = seek_fails
    run_until_committed(writer, log)
    assert store.rows == [f"e-{number}" for number in range(8)]


def test_a_failed_commit_is_made_good_by_the_next() -> None:
    store, log = Store(), Log(values(3))
    log.commit_fails = 2
    run_until_committed(make(store, log), log)
    assert store.rows == ["e-0", "e-1", "e-2"]


def test_a_partition_that_went_elsewhere_is_not_committed() -> None:
    store, log = Store(), Log(values(3))
    log.assigned = False
    make(store, log).step()
    assert log.committed == 0


def test_heartbeats_move_the_offset_without_an_insert() -> None:
    store, log = Store(), Log([heartbeat(0, DAY_MS)])
    make(store, log).step()
    assert (store.tokens, log.committed) == ([], 1)


def test_readiness_tells_what_is_missing_and_forgets_it() -> None:
    store, log = Store(), Log(values(1))
    writer = make(store, log)
    assert writer.trouble is not None
    run_until_committed(writer, log)
    assert writer.trouble is None


def test_a_quiet_writer_still_notices_that_clickhouse_is_away() -> None:
    clock = ManualClock(DAY_MS)
    store, log = Store(), Log([])
    writer = make(store, log, clock)
    writer.step()
    store.away = 1
    clock.advance_ms(60_000)
    with pytest.raises(RetryLater):
        writer.step()


def test_a_refusal_stops_the_writer_with_nothing_committed() -> None:
    store, log = Store(), Log(values(3))
    store.refuses = True
    with pytest.raises(ClickHouseRefused):
        make(store, log).run(threading.Event())
    assert log.committed == 0
