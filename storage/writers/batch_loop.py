"""Read batches, hand them to a writer's core, and survive everything that passes by itself.

The positions in the log are Postgres's. Whenever anything goes wrong the loop forgets where it
was, asks Postgres again, and reads on from there: there is no other recovery to get wrong.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

from infra import log, metrics
from infra.clock import Clock
from infra.errors import RetryLater
from infra.kafka.consumer import ConsumedRecord, PartitionKey
from storage.postgres import offsets
from storage.postgres.errors import OffsetsMoved
from storage.postgres.offsets import PartitionCounts, Position
from storage.postgres.pool import Connection
from storage.writers.errors import LogRestarted

_BACKOFF_MIN_S = 0.1
_BACKOFF_MAX_S = 5.0
_TELL_KAFKA_EVERY_S = 1.0
_LAG_EVERY_S = 5.0
_FATES = tuple(f.name for f in fields(PartitionCounts) if f.name not in ("records", "late"))


@dataclass(slots=True)
class Stored:
    """What a batch did: the new positions, and the fates of its records by partition."""

    positions: dict[PartitionKey, Position]
    counts: dict[PartitionKey, PartitionCounts]


class Core(Protocol):
    """The part of a writer that knows what to do with records."""

    @property
    def group(self) -> str: ...

    def open(self, connection: Connection) -> None: ...

    def store_batch(
        self,
        connection: Connection,
        records: Sequence[ConsumedRecord],
        positions: Mapping[PartitionKey, Position],
    ) -> Stored: ...

    def between_batches(self, connection: Connection, *, caught_up: bool) -> None: ...


class Source(Protocol):
    """What the loop needs of `infra.kafka.consumer.BatchConsumer`."""

    @property
    def assignment(self) -> frozenset[PartitionKey]: ...

    def read(self, records_max: int, wait_s: float) -> list[ConsumedRecord]: ...

    def commit(self, next_offsets: Mapping[PartitionKey, int]) -> None: ...

    def seek(self, next_offsets: Mapping[PartitionKey, int]) -> None: ...

    def lag(self) -> dict[PartitionKey, int]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """Size of a batch, and how long to wait for one to fill."""

    records_max: int
    wait_s: float


class BatchLoop:
    """One writer's main loop. Give `start_offsets` to the consumer that becomes its source."""

    def __init__(
        self,
        core: Core,
        *,
        connect: Callable[[], Connection],
        committed: Callable[[], None],
        pace: Pace,
        clock: Clock,
    ) -> None:
        self._core = core
        self._connect = connect
        self._committed = committed
        self._pace = pace
        self._clock = clock
        self._log = log.get("loop")
        self._source: Source
        self._connection: Connection | None = None
        self._positions: dict[PartitionKey, Position] | None = None
        self._untold: dict[PartitionKey, int] = {}
        self._told_s = self._measured_s = clock.monotonic()
        self._doubted: dict[PartitionKey, tuple[int, int | None]] = {}
        self._trouble: str | None = "it has not read anything yet"

    @property
    def trouble(self) -> str | None:
        """Why nothing is handled at the moment; None when all is well."""
        return self._trouble

    def start_offsets(self, partitions: Sequence[PartitionKey]) -> dict[PartitionKey, int]:
        """Where to read newly assigned partitions; called while the source reads."""
        self._positions = None
        try:
            self._positions = self._load(partitions)
        except RetryLater as away:
            # The consumer starts anywhere; nothing is handled until the loop has repositioned it.
            self._log.warning("positions unknown", reason=str(away))
            self._disconnect()
            return {}
        return _offsets(self._positions)

    def run(self, source: Source, stopping: threading.Event) -> None:
        """Work until told to stop; then leave the group and tell Kafka how far we got.

        Raises:
            CannotRun: something that does not pass by itself.
        """
        self._source = source
        delay_s = _BACKOFF_MIN_S
        try:
            while not stopping.is_set():
                try:
                    self._step()
                except RetryLater as trouble:
                    self._recover_from(trouble)
                    stopping.wait(delay_s)
                    delay_s = min(delay_s * 2, _BACKOFF_MAX_S)
                else:
                    delay_s = _BACKOFF_MIN_S
                    if self._trouble is not None:
                        self._log.info("work goes on", after=self._trouble)
                        self._trouble = None
        finally:
            self._tell_kafka()
            source.close()
            self._disconnect()

    def _step(self) -> None:
        if self._positions is None:
            self._positions = self._load(self._source.assignment)
            self._source.seek(_offsets(self._positions))
        records = self._source.read(self._pace.records_max, self._pace.wait_s)
        if self._positions is None:
            return
        if records:
            self._handle(records, self._positions)
        caught_up = len(records) < self._pace.records_max
        self._core.between_batches(self._open(), caught_up=caught_up)
        now_s = self._clock.monotonic()
        if now_s - self._told_s >= _TELL_KAFKA_EVERY_S or (caught_up and self._untold):
            self._tell_kafka()
        if now_s - self._measured_s >= _LAG_EVERY_S:
            self._measured_s = now_s
            for (_topic, partition), lag in self._source.lag().items():
                metrics.CONSUMER_LAG.labels(self._core.group, str(partition)).set(lag)

    def _handle(
        self, records: Sequence[ConsumedRecord], positions: dict[PartitionKey, Position]
    ) -> None:
        began_s = self._clock.monotonic()
        self._check_follow_on(records, positions)
        stored = self._core.store_batch(self._open(), records, positions)
        positions.update(stored.positions)
        self._untold.update(_offsets(stored.positions))
        self._committed()
        group = self._core.group
        metrics.BATCH_SECONDS.labels(group).observe(self._clock.monotonic() - began_s)
        newest_ms = max(record.timestamp_ms for record in records)
        metrics.OLDEST_RECORD_AGE.labels(group).set((self._clock.now_ms() - newest_ms) / 1000)
        for fate in _FATES:
            count = sum(getattr(counts, fate) for counts in stored.counts.values())
            if count:
                metrics.RECORDS.labels(group, fate).inc(count)

    def _check_follow_on(
        self, records: Iterable[ConsumedRecord], positions: Mapping[PartitionKey, Position]
    ) -> None:
        """Every partition's first record must be the next one, or a later one if some are gone."""
        first: dict[PartitionKey, int] = {}
        for record in records:
            first.setdefault((record.topic, record.partition), record.offset)
        for key, offset in first.items():
            expected = positions[key].next_offset if key in positions else None
            if offset == expected:
                continue
            place = f"{key[0]}/{key[1]}"
            # Whatever moved the reader: going back to the stored position sets it right.
            if self._doubted.get(key) != (offset, expected):
                self._doubted[key] = (offset, expected)
                raise OffsetsMoved(f"{place} was read at {offset} instead of {expected}.")
            if expected is None or offset < expected:
                raise LogRestarted(
                    f"The log of {place} is at {offset}, below the stored position {expected}.",
                    remedy="If the topic was made anew on purpose, remove its rows from"
                    " consumer_offsets.",
                )
            self._log.warning(
                "records are gone from the log", place=place, first=expected, next=offset
            )

    def _recover_from(self, trouble: RetryLater) -> None:
        metrics.BATCH_RETRIES.labels(self._core.group).inc()
        if self._trouble is None:
            self._log.warning("work waits", reason=str(trouble))
        self._trouble = str(trouble)
        self._disconnect()
        with contextlib.suppress(RetryLater):
            # Polling keeps our place in the group. What it returns is read again later.
            self._source.read(1, 0.0)
        self._positions = None

    def _load(self, partitions: Iterable[PartitionKey]) -> dict[PartitionKey, Position]:
        return offsets.load(self._open(), self._core.group, partitions)

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            self._core.open(self._connection)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _tell_kafka(self) -> None:
        """Commit positions to the group: for lag tools only, so a failure does not matter."""
        self._told_s = self._clock.monotonic()
        mine = {key: at for key, at in self._untold.items() if key in self._source.assignment}
        self._untold.clear()
        try:
            self._source.commit(mine)
        except RetryLater as trouble:
            self._log.info("positions not told to Kafka", reason=str(trouble))
            self._untold = mine | self._untold


def _offsets(positions: Mapping[PartitionKey, Position]) -> dict[PartitionKey, int]:
    return {key: position.next_offset for key, position in positions.items()}
