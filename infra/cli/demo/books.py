"""Count the events in every place, each by its own means."""

from __future__ import annotations

from collections.abc import Sequence

from infra.cli.demo.dataset import Interaction, expected_windows
from infra.cli.demo.settling import Goal, Ledger
from infra.errors import RetryLater
from infra.kafka.admin import KafkaAdmin
from infra.kafka.consumer import BatchConsumer
from infra.settings import Settings
from infra.topics import LATE_EVENTS, LEARNING_EVENTS, SESSION_WINDOWS, Topic
from ingestion.events.codec import SYSTEM_CLIENT, decode
from storage.clickhouse.client import ClickHouse
from storage.postgres import ledger as stored_ledger
from storage.postgres import overview
from storage.postgres.pool import Pool


class Books:
    """Looks into Kafka, Postgres and ClickHouse; holds no figure of its own."""

    def __init__(self, settings: Settings, pool: Pool, clickhouse: ClickHouse) -> None:
        self._settings = settings
        self._pool = pool
        self._clickhouse = clickhouse
        self._admin = KafkaAdmin(settings.kafka_bootstrap)

    def counts(self) -> overview.Counts:
        with self._pool.connection() as connection:
            return overview.counts(
                connection,
                confidence_min=self._settings.detected_confidence_min,
                sample_size_min=self._settings.detected_sample_size_min,
            )

    def goals(self, interactions: Sequence[Interaction]) -> list[Goal]:
        """What must be reached before the demonstration can speak of results."""
        distinct = len({interaction.event_id for interaction in interactions})
        return [
            Goal("events in PostgreSQL", distinct, lambda: self.counts().events),
            Goal("events in ClickHouse", distinct, self.clickhouse_events),
            Goal("windows", expected_windows(interactions), lambda: self.counts().windows),
            Goal("settled", 1, self._settled),
        ]

    def clickhouse_events(self) -> int:
        return int(self._clickhouse.rows("SELECT count() FROM events")[0][0])

    def close_ledger(self, interactions: Sequence[Interaction], acked: int) -> Ledger:
        """The ledger of everything that was sent."""
        counts = self.counts()
        with self._pool.connection() as connection:
            stored = stored_ledger.read(connection, "event-writer")
        return Ledger(
            events_sent=len(interactions),
            distinct=len({interaction.event_id for interaction in interactions}),
            acked=acked,
            kafka=self._kafka_events(),
            postgres=counts.events,
            clickhouse=self.clickhouse_events(),
            duplicates=stored.duplicates,
            conflicts=stored.conflicts,
            dead_letters=counts.dead_letters,
            late=stored.late,
            windows_expected=expected_windows(interactions),
            windows=counts.windows,
        )

    def _settled(self) -> int:
        """1 when nothing is on its way between late repair, pattern writer and outbox."""
        counts = self.counts()
        if counts.outbox or counts.dirty_contexts:
            return 0
        return int(
            self._reached(LATE_EVENTS, "late-repair")
            and self._reached(SESSION_WINDOWS, "pattern-writer")
        )

    def _reached(self, topic: Topic, group: str) -> bool:
        at = self._admin.group_offsets(group)
        return all(at.get(key, 0) >= end for key, end in self._admin.end_offsets([topic]).items())

    def _kafka_events(self) -> int:
        """Records of learning-events that are not heartbeats, read back from the log."""
        ends = self._admin.end_offsets([LEARNING_EVENTS])
        consumer = BatchConsumer(
            self._settings.kafka_bootstrap,
            group="demo-count",
            topics=[LEARNING_EVENTS.name],
            client_id="demo-count",
            start_offsets=lambda _partitions: {},
        )
        try:
            return _count_events(consumer, {key: end for key, end in ends.items() if end > 0})
        finally:
            consumer.close()


def _count_events(consumer: BatchConsumer, open_ends: dict[tuple[str, int], int]) -> int:
    """Events before the given end offsets."""
    found = 0
    empty_reads = 0
    while open_ends:
        records = consumer.read(10_000, 1.0)
        empty_reads = 0 if records else empty_reads + 1
        if empty_reads > 30:
            raise RetryLater(
                "Kafka gave no records for 30 s.", remedy="Check it with `sagestream status`."
            )
        for record in records:
            key = (record.topic, record.partition)
            end = open_ends.get(key)
            if end is None:
                continue
            if decode(record.value).client_id != SYSTEM_CLIENT:
                found += 1
            if record.offset >= end - 1:
                del open_ends[key]
    return found
