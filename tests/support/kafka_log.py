"""A log in memory: records with the offsets that Kafka would give them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence

from infra.kafka.consumer import ConsumedRecord, PartitionKey
from ingestion.events.codec import encode, heartbeat
from ingestion.events.event import Event
from storage.postgres.offsets import Position


class MemoryLog:
    """One topic; append, then read it in whatever batches a test wants."""

    def __init__(self, topic: str, partitions: int = 1) -> None:
        self.topic = topic
        self.partitions: list[list[ConsumedRecord]] = [[] for _ in range(partitions)]

    def append(self, value: bytes | None, *, partition: int = 0, at_ms: int = 0) -> ConsumedRecord:
        records = self.partitions[partition]
        record = ConsumedRecord(self.topic, partition, len(records), None, value, at_ms)
        records.append(record)
        return record

    def event(self, event: Event) -> ConsumedRecord:
        """Append an event to the partition of its session."""
        return self.append(
            encode(event), partition=self.partition_of(event.session_id), at_ms=event.received_at
        )

    def events(self, events: Iterable[Event]) -> list[ConsumedRecord]:
        return [self.event(event) for event in events]

    def heartbeat(self, now_ms: int, *, partition: int = 0) -> ConsumedRecord:
        return self.append(heartbeat(partition, now_ms), partition=partition, at_ms=now_ms)

    def partition_of(self, key: str) -> int:
        return zlib.crc32(key.encode()) % len(self.partitions)

    def batches(
        self, size: int, *, positions: dict[PartitionKey, Position] | None = None
    ) -> Iterator[Sequence[ConsumedRecord]]:
        """Records from the positions on, partition by partition, `size` at most a batch."""
        start = positions or {}
        left = [
            record
            for number, records in enumerate(self.partitions)
            for record in records[start.get((self.topic, number), Position()).next_offset :]
        ]
        for index in range(0, len(left), size):
            yield left[index : index + size]
