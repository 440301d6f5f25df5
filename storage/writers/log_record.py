"""The log's event records as the writer stores them; judged by `ingestion.events.codec` alone."""

from __future__ import annotations

import msgspec

from ingestion.events import codec
from ingestion.events.event import Event


class LogRecord(msgspec.Struct, frozen=True):
    """An event as it lies in the log; `event_data` is the JSON text of an object."""

    event_id: str
    client_id: str
    session_id: str
    event_type: str
    event_time: int
    received_at: int
    body_hash: str
    event_data: msgspec.Raw
    v: int = 0
    user_id: str | None = None
    industry: str | None = None
    campaign_type: str | None = None
    success: bool | None = None
    success_score: float | None = None


def decode(raw: bytes | None) -> LogRecord:
    """The event of a record's value.

    Raises:
        MalformedRecord: not an event record of version 1 (a ValueError).
    """
    return _as_record(codec.decode(raw, msgspec.json.decode))


def _as_record(event: Event) -> LogRecord:
    facts = event.facts
    return LogRecord(
        v=codec.RECORD_VERSION,
        event_id=event.event_id,
        client_id=event.client_id,
        session_id=event.session_id,
        user_id=event.user_id,
        event_type=event.event_type,
        event_time=event.event_time,
        received_at=event.received_at,
        body_hash=event.body_hash,
        industry=facts.industry,
        campaign_type=facts.campaign_type,
        success=facts.success,
        success_score=facts.success_score,
        event_data=msgspec.Raw(event.event_data),
    )
