"""From raw records to one block of columns for ClickHouse. Pure: no database, no clock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from infra.kafka.consumer import ConsumedRecord, PartitionKey
from ingestion.events.admission import (
    AGE_MS_MAX,
    AHEAD_MS_MAX,
    EVENT_ID_CHARS_MAX,
    EVENT_TYPE_CHARS_MAX,
    SESSION_ID_CHARS_MAX,
    USER_ID_CHARS_MAX,
)
from ingestion.events.event import HEARTBEAT_TYPE
from storage.clickhouse.client import Column
from storage.writers.log_record import LogRecord, decode
from stream_jobs.patterns.accumulator import WindowEvent
from stream_jobs.patterns.signals import PPM, SignalTable

_CLIENT_ID_CHARS_MAX = 50
_BODY_HASH = re.compile(r"[0-9a-f]{32}")
# 2100: far beyond anything true, well within DateTime64.
_RECEIVED_MS_MAX = 4_102_444_800_000


@dataclass(frozen=True, slots=True)
class Block:
    """Rows to insert, where the log goes on after them, and what became of the records."""

    columns: tuple[Column, ...]
    token: str
    next_offsets: dict[PartitionKey, int]
    newest_ms: int
    inserted: int = 0
    heartbeats: int = 0
    skipped: list[ConsumedRecord] = field(default_factory=list)

    @property
    def fates(self) -> dict[str, int]:
        """Fate → number of records."""
        return {
            "inserted": self.inserted,
            "heartbeats": self.heartbeats,
            "skipped": len(self.skipped),
        }


def build(records: Sequence[ConsumedRecord], signals: SignalTable) -> Block:
    """The block of a batch; its token follows from the records' places in the log alone.

    Heartbeats are left out. What nobody can use is skipped: the event writer, which reads the
    same records, makes dead letters of them.
    """
    kept: list[LogRecord] = []
    places: list[ConsumedRecord] = []
    skipped: list[ConsumedRecord] = []
    heartbeats = 0
    for record in records:
        try:
            event = decode(record.value)
        except Exception:  # whatever a record provokes is that record's fault
            skipped.append(record)
            continue
        if event.event_type == HEARTBEAT_TYPE:
            heartbeats += 1
        elif _is_sound(event):
            kept.append(event)
            places.append(record)
        else:
            skipped.append(record)
    return Block(
        columns=_columns(kept, places, signals),
        token=_token(records),
        next_offsets={(r.topic, r.partition): r.offset + 1 for r in records},
        newest_ms=max((r.timestamp_ms for r in records), default=0),
        inserted=len(kept),
        heartbeats=heartbeats,
        skipped=skipped,
    )


def _is_sound(event: LogRecord) -> bool:
    """Whether a gateway could have let this event in; anybody can write to a topic."""
    received_at = event.received_at
    return (
        0 < len(event.event_id) <= EVENT_ID_CHARS_MAX
        and 0 < len(event.client_id) <= _CLIENT_ID_CHARS_MAX
        and 0 < len(event.session_id) <= SESSION_ID_CHARS_MAX
        and 0 < len(event.event_type) <= EVENT_TYPE_CHARS_MAX
        and (event.user_id is None or len(event.user_id) <= USER_ID_CHARS_MAX)
        and 0 <= received_at < _RECEIVED_MS_MAX
        and received_at - AGE_MS_MAX <= event.event_time <= received_at + AHEAD_MS_MAX
        and event.event_time >= 0
        and _BODY_HASH.fullmatch(event.body_hash) is not None
    )


def _columns(
    events: Sequence[LogRecord], places: Sequence[ConsumedRecord], signals: SignalTable
) -> tuple[Column, ...]:
    """Columns of `learning_events`; times are ms since the epoch."""
    moment = "DateTime64(3, 'UTC')"
    return (
        Column("event_id", "String", [e.event_id for e in events]),
        Column("client_id", "String", [e.client_id for e in events]),
        Column("session_id", "String", [e.session_id for e in events]),
        Column("user_id", "Nullable(String)", [e.user_id for e in events]),
        Column("event_type", "String", [e.event_type for e in events]),
        Column("event_time", moment, [e.event_time for e in events]),
        Column("received_at", moment, [e.received_at for e in events]),
        Column("industry", "Nullable(String)", [e.industry for e in events]),
        Column("campaign_type", "Nullable(String)", [e.campaign_type for e in events]),
        Column("success", "Nullable(Bool)", [e.success for e in events]),
        Column("success_score", "Nullable(Float64)", [e.success_score for e in events]),
        Column("signal", "Nullable(Float64)", [_signal(e, signals) for e in events]),
        Column("event_data", "String", [bytes(e.event_data) for e in events]),
        Column("body_hash", "FixedString(32)", [e.body_hash.encode() for e in events]),
        Column("kafka_partition", "UInt16", [r.partition for r in places]),
        Column("kafka_offset", "UInt64", [r.offset for r in places]),
    )


def _signal(event: LogRecord, signals: SignalTable) -> float | None:
    facts = (event.success, event.success_score)
    ppm = signals.of(WindowEvent("", "", 0, event.event_type, None, None, *facts))
    return None if ppm is None else ppm / PPM


def _token(records: Sequence[ConsumedRecord]) -> str:
    first: dict[PartitionKey, int] = {}
    last: dict[PartitionKey, int] = {}
    for record in records:
        key = (record.topic, record.partition)
        first.setdefault(key, record.offset)
        last[key] = record.offset
    ranges = "\n".join(f"{key[0]}/{key[1]}:{first[key]}-{last[key]}" for key in sorted(first))
    return hashlib.sha256(ranges.encode()).hexdigest()
