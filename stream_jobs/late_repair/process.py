"""The loop around the recount: read, recount, publish, and only then move on."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from infra import log, metrics
from infra.clock import Clock
from infra.errors import RetryLater
from infra.kafka.consumer import BatchConsumer, ConsumedRecord, PartitionKey
from infra.kafka.producer import Producer
from storage.postgres import window_events
from storage.postgres.pool import Pool
from stream_jobs.late_repair.repair import Window, as_records, coalesce, recount
from stream_jobs.patterns.accumulator import WindowEvent
from stream_jobs.patterns.signals import SignalTable

GROUP = "late-repair"
RECORDS_MAX = 20_000
# Waiting a little lets late events of one window come together; well under the ten seconds
# within which a late event must show.
_WAIT_S = 0.5
_WINDOWS_PER_READ = 4_000
_BACKOFF_MIN_S = 0.2
_BACKOFF_MAX_S = 5.0
_LAG_EVERY_S = 5.0


class LateRepair:
    """A crash between publishing and committing repeats a recount, which changes nothing."""

    def __init__(self, pool: Pool, producer: Producer, signals: SignalTable, clock: Clock) -> None:
        self._pool = pool
        self._producer = producer
        self._signals = signals
        self._clock = clock
        self._log = log.get("late-repair")
        self._measured_s = clock.monotonic()
        self.trouble: str | None = None

    def run(self, consumer: BatchConsumer, stopping: threading.Event) -> None:
        """Work until told to stop.

        Raises:
            CannotRun: something that does not pass by itself.
        """
        try:
            while not stopping.is_set():
                try:
                    records = consumer.read(RECORDS_MAX, _WAIT_S)
                except RetryLater as away:
                    self._wait_out(away, stopping, _BACKOFF_MIN_S)
                    continue
                self.trouble = None
                if records and self._repair_until_done(records, stopping):
                    self._commit(consumer, records, stopping)
                self._measure(consumer)
        finally:
            consumer.close()

    def repair(self, records: Sequence[ConsumedRecord]) -> int:
        """Recount every window the records name; returns how many, once all are published.

        Raises:
            RetryLater: Postgres or Kafka is away; the same records may be handed in again.
        """
        batch = coalesce(records, self._clock.now_ms())
        for start in range(0, len(batch.windows), _WINDOWS_PER_READ):
            part = batch.windows[start : start + _WINDOWS_PER_READ]
            self._producer.publish_and_wait(recount(part, self._read, self._signals))
        if batch.letters:
            self._producer.publish_and_wait(as_records(batch.letters))
        metrics.WINDOWS_REPAIRED.inc(len(batch.windows))
        metrics.RECORDS.labels(GROUP, "dead_letters").inc(len(batch.letters))
        metrics.RECORDS.labels(GROUP, "repaired").inc(len(records) - len(batch.letters))
        return len(batch.windows)

    def _repair_until_done(
        self, records: Sequence[ConsumedRecord], stopping: threading.Event
    ) -> bool:
        """False when told to stop first: the records are read again by the next process."""
        began_s = self._clock.monotonic()
        delay_s = _BACKOFF_MIN_S
        while not stopping.is_set():
            try:
                self.repair(records)
            except RetryLater as away:
                metrics.BATCH_RETRIES.labels(GROUP).inc()
                self._wait_out(away, stopping, delay_s)
                delay_s = min(delay_s * 2, _BACKOFF_MAX_S)
            else:
                self.trouble = None
                metrics.BATCH_SECONDS.labels(GROUP).observe(self._clock.monotonic() - began_s)
                return True
        return False

    def _commit(
        self,
        consumer: BatchConsumer,
        records: Sequence[ConsumedRecord],
        stopping: threading.Event,
    ) -> None:
        next_offsets: dict[PartitionKey, int] = {}
        for record in records:
            next_offsets[record.topic, record.partition] = record.offset + 1
        mine = {key: at for key, at in next_offsets.items() if key in consumer.assignment}
        try:
            consumer.commit(mine)
        except RetryLater as away:
            # The next commit covers this one; until then a restart would only repeat the recount.
            self._wait_out(away, stopping, _BACKOFF_MIN_S)

    def _read(self, windows: Sequence[Window]) -> dict[Window, tuple[int, list[WindowEvent]]]:
        with self._pool.connection() as connection:
            return window_events.read(connection, windows)

    def _wait_out(self, away: RetryLater, stopping: threading.Event, delay_s: float) -> None:
        if self.trouble is None:
            self._log.warning("work waits", reason=str(away))
        self.trouble = str(away)
        stopping.wait(delay_s)

    def _measure(self, consumer: BatchConsumer) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._measured_s < _LAG_EVERY_S:
            return
        self._measured_s = now_s
        try:
            for (_topic, partition), lag in consumer.lag().items():
                metrics.CONSUMER_LAG.labels(GROUP, str(partition)).set(lag)
        except RetryLater as away:
            self._log.info("lag not measured", reason=str(away))
