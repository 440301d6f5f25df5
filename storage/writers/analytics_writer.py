"""Analytics writer: learning-events into ClickHouse, in big blocks, without loss.

A block is inserted, then its offsets are committed. Killed in between, it is read again: ClickHouse
drops a block whose token it knows, and the view `events` shows each event once whatever lies in
the table. While ClickHouse is away the block waits in memory and nothing further is read.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

from infra import log, metrics
from infra.clock import Clock
from infra.errors import RetryLater
from infra.kafka.consumer import ConsumedRecord, PartitionKey
from storage.clickhouse.client import Column
from storage.writers.analytics_block import Block, build
from stream_jobs.patterns.signals import SignalTable

GROUP = "analytics-writer"
TABLE = "learning_events"
# ClickHouse likes few big blocks: at most two a second, and big when there is a backlog.
RECORDS_MAX = 20_000
WAIT_S = 0.5
_BACKOFF_MIN_S = 0.2
_BACKOFF_MAX_S = 5.0
_CHECK_EVERY_S = 10.0
_LAG_EVERY_S = 5.0


class BlockStore(Protocol):
    """What the writer needs of `storage.clickhouse.client.ClickHouse`."""

    def insert(self, table: str, columns: Sequence[Column], token: str) -> None: ...

    def trouble(self) -> str | None: ...


class Source(Protocol):
    """What the writer needs of `infra.kafka.consumer.BatchConsumer`."""

    @property
    def assignment(self) -> frozenset[PartitionKey]: ...

    def read(self, records_max: int, wait_s: float) -> list[ConsumedRecord]: ...

    def commit(self, next_offsets: Mapping[PartitionKey, int]) -> None: ...

    def seek(self, next_offsets: Mapping[PartitionKey, int]) -> None: ...

    def lag(self) -> dict[PartitionKey, int]: ...


class AnalyticsWriter:
    """One member of the group; `trouble` may be read from another thread."""

    def __init__(self, store: BlockStore, source: Source, signals: SignalTable, clock: Clock):
        self._store = store
        self._source = source
        self._signals = signals
        self._clock = clock
        self._log = log.get("analytics")
        self._block: Block | None = None
        self._uncommitted: dict[PartitionKey, int] = {}
        # Records read only to keep our place in the group: they are to be read again.
        self._unread: dict[PartitionKey, int] = {}
        self._checked_s = self._measured_s = clock.monotonic()
        self._trouble: str | None = "it has not read anything yet"

    @property
    def trouble(self) -> str | None:
        """Why nothing is stored at the moment; None when all is well."""
        return self._trouble

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop. A block that is not stored by then is read again later.

        Raises:
            CannotRun: ClickHouse refuses our statements, or Kafka refuses us.
        """
        delay_s = _BACKOFF_MIN_S
        while not stopping.is_set():
            try:
                self.step()
            except RetryLater as trouble:
                self._tell(trouble)
                stopping.wait(delay_s)
                delay_s = min(delay_s * 2, _BACKOFF_MAX_S)
                self._keep_place()
            else:
                self._trouble = None
                delay_s = _BACKOFF_MIN_S

    def step(self) -> None:
        """Take one batch from the log to ClickHouse, or go on with the one that waits.

        Raises:
            RetryLater: ClickHouse or Kafka is away; call again, nothing is lost.
        """
        if self._block is None:
            self._block = self._read()
        if self._block is not None:
            self._insert(self._block)
            self._uncommitted.update(self._block.next_offsets)
            self._block = None
        elif self._clock.monotonic() - self._checked_s >= _CHECK_EVERY_S:
            self._check()
        self._commit()
        self._measure()

    def _read(self) -> Block | None:
        if self._unread:
            self._source.seek(self._unread)
            self._unread.clear()
        records = self._source.read(RECORDS_MAX, WAIT_S)
        return build(records, self._signals) if records else None

    def _insert(self, block: Block) -> None:
        began_s = self._clock.monotonic()
        if block.inserted:
            self._store.insert(TABLE, block.columns, block.token)
            self._checked_s = self._clock.monotonic()
        if block.skipped:
            first = block.skipped[0]
            self._log.warning(
                "records skipped",
                count=len(block.skipped),
                first=f"{first.topic}/{first.partition}:{first.offset}",
            )
        metrics.BATCH_SECONDS.labels(GROUP).observe(self._clock.monotonic() - began_s)
        age_ms = self._clock.now_ms() - block.newest_ms
        metrics.OLDEST_RECORD_AGE.labels(GROUP).set(age_ms / 1000)
        for fate, count in block.fates.items():
            if count:
                metrics.RECORDS.labels(GROUP, fate).inc(count)

    def _commit(self) -> None:
        """Commit what is stored; a partition that went to another member is its business now."""
        assigned = self._source.assignment
        mine = {key: at for key, at in self._uncommitted.items() if key in assigned}
        if mine:
            self._source.commit(mine)
        self._uncommitted.clear()

    def _keep_place(self) -> None:
        """Poll while we wait, else the group would think us dead; give back what comes."""
        try:
            for record in self._source.read(1, 0.0):
                self._unread.setdefault((record.topic, record.partition), record.offset)
            if self._unread:
                self._source.seek(self._unread)
                self._unread.clear()
        except RetryLater as trouble:
            self._tell(trouble)

    def _check(self) -> None:
        self._checked_s = self._clock.monotonic()
        trouble = self._store.trouble()
        if trouble is not None:
            raise RetryLater(trouble)

    def _tell(self, trouble: RetryLater) -> None:
        metrics.BATCH_RETRIES.labels(GROUP).inc()
        if self._trouble is None:
            self._log.warning("work waits", reason=str(trouble))
        self._trouble = str(trouble)

    def _measure(self) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._measured_s >= _LAG_EVERY_S:
            self._measured_s = now_s
            for (_topic, partition), lag in self._source.lag().items():
                metrics.CONSUMER_LAG.labels(GROUP, str(partition)).set(lag)
