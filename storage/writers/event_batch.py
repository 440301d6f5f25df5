"""From raw records to what the event writer has to store. Pure: no database, no clock."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from infra.kafka.consumer import ConsumedRecord, PartitionKey
from ingestion.events.dead_letter import DeadLetter
from ingestion.events.errors import MalformedRecord
from ingestion.events.event import HEARTBEAT_TYPE
from storage.postgres.event_store import EventRow
from storage.postgres.offsets import PartitionCounts, Position
from storage.postgres.partitions import Coverage
from storage.writers.identity import Copy
from storage.writers.letters import letter_of
from storage.writers.log_record import LogRecord, decode
from stream_jobs.patterns.watermark import PartitionWatermark

Identity = tuple[str, str]
# Beyond any time, and still a number that every store can hold.
_TIME_MAX = 2**62


@dataclass(frozen=True, slots=True)
class EventBatch:
    """A batch, sorted out.

    `counts` holds records, heartbeats and dead letters; the other fates are the store's to tell.
    """

    before: dict[PartitionKey, Position]
    after: dict[PartitionKey, Position]
    copies: dict[Identity, list[Copy]] = field(default_factory=dict)
    counts: dict[PartitionKey, PartitionCounts] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)

    def without(self, refused: Mapping[tuple[int, int], DeadLetter]) -> EventBatch:
        """The same batch with the copies at these (partition, offset) made dead letters."""
        counts = {key: replace(count) for key, count in self.counts.items()}
        for letter in refused.values():
            counts[letter.topic, letter.partition].dead_letters += 1
        copies = {
            identity: kept
            for identity, group in self.copies.items()
            if (kept := [c for c in group if (c.partition, c.offset) not in refused])
        }
        letters = [*self.letters, *refused.values()]
        return EventBatch(self.before, self.after, copies, counts, letters)


def prepare(
    records: Sequence[ConsumedRecord],
    positions: Mapping[PartitionKey, Position],
    *,
    coverage: Coverage,
    at_ms: int,
) -> EventBatch:
    """Decode, judge lateness by the log's own clock, and sort out what nobody can use.

    `positions` are where the partitions stand; every record must lie at or after its own.
    Lateness of a record depends on the records before it in its partition alone.
    """
    touched = {(record.topic, record.partition) for record in records}
    batch = EventBatch({key: positions.get(key, Position()) for key in sorted(touched)}, {})
    marks = {key: PartitionWatermark(at.watermark_ms) for key, at in batch.before.items()}
    batch.counts.update({key: PartitionCounts() for key in marks})
    next_offsets: dict[PartitionKey, int] = {}
    for record in records:
        key = (record.topic, record.partition)
        next_offsets[key] = record.offset + 1
        count, watermark = batch.counts[key], marks[key]
        count.records += 1
        try:
            event = decode(record.value)
        except Exception as error:  # whatever a record provokes is that record's fault
            batch.letters.append(_undecodable(record, error, at_ms))
            count.dead_letters += 1
            _advance_by_remains(watermark, record.value)
            continue
        if event.event_type == HEARTBEAT_TYPE:
            count.heartbeats += 1
        elif (trouble := _out_of_range(event, coverage)) is not None:
            batch.letters.append(
                letter_of(
                    record,
                    "out_of_range",
                    trouble,
                    at_ms=at_ms,
                    client_id=event.client_id,
                    event_id=event.event_id,
                )
            )
            count.dead_letters += 1
        else:
            copy = Copy(event, record.partition, record.offset, watermark.is_late(event.event_time))
            batch.copies.setdefault((event.client_id, event.event_id), []).append(copy)
        _advance(watermark, event.event_time, event.received_at)
    batch.after.update(
        {key: Position(at, marks[key].value) for key, at in sorted(next_offsets.items())}
    )
    return batch


def rows_of(copies: Iterable[Copy]) -> list[EventRow]:
    """Rows to stage, numbered in this order."""
    rows = []
    for number, (event, partition, offset, late) in enumerate(copies):
        rows.append(
            EventRow(
                number,
                event.event_time,
                event.received_at,
                event.client_id,
                event.event_id,
                event.session_id,
                event.user_id,
                event.event_type,
                event.body_hash,
                "late" if late else "stored",
                event.industry,
                event.campaign_type,
                event.success,
                event.success_score,
                bytes(event.event_data),
                partition,
                offset,
            )
        )
    return rows


def _out_of_range(event: LogRecord, coverage: Coverage) -> str | None:
    first, end = coverage
    if not first <= event.event_time < end:
        return f"event_time {event.event_time} is outside the months that are kept"
    if not 0 <= event.received_at < end:
        return f"received_at {event.received_at} is not a time that can be"
    return None


def _undecodable(record: ConsumedRecord, error: Exception, at_ms: int) -> DeadLetter:
    if isinstance(error, MalformedRecord):
        return letter_of(record, error.reason, error.detail, at_ms=at_ms)
    return letter_of(record, "undecodable", f"{type(error).__name__}: {error}", at_ms=at_ms)


def _advance_by_remains(watermark: PartitionWatermark, raw: bytes | None) -> None:
    """Let a record that we refuse advance the clock when an engine may have read its times.

    Our watermark must never be behind an engine's, else the engine could drop an event that we
    believe to be in time.
    """
    try:
        fields = json.loads(raw or b"")
        times = (fields["event_time"], fields["received_at"])
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return
    if all(type(time) is int for time in times):
        _advance(watermark, *times)


def _advance(watermark: PartitionWatermark, event_time: int, received_at: int) -> None:
    if abs(event_time) < _TIME_MAX and abs(received_at) < _TIME_MAX:
        watermark.advance(event_time, received_at)
