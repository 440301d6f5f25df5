"""Calls that are no events, kept with the reason."""

from __future__ import annotations

from hashlib import sha256

from infra.kafka.loop_producer import KeyedValue
from ingestion.events.dead_letter import DeadLetter
from ingestion.gateway.batch import Intake, Refusal

_RAW_BYTES_MAX = 524_288
_NO_PARTITION = -1


def dead_letter(refusal: Refusal, raw: bytes, route: str, intake: Intake) -> KeyedValue:
    """The record for the dead-letter topic.

    The call never had a place in the log; its "topic" is the route, and its "offset" comes from
    its content, so that a repeated request makes the same letter.
    """
    error = refusal.error
    digest = sha256(intake.client_id.encode() + b"\0" + raw).digest()
    cut = " (raw is cut off)" if len(raw) > _RAW_BYTES_MAX else ""
    letter = DeadLetter(
        topic=f"http:{route}",
        partition=_NO_PARTITION,
        offset=int.from_bytes(digest[:8], "big") >> 1,
        reason=error.code,
        detail=f"{error.field} {error.reason}; {error.remedy}{cut}",
        raw=raw[:_RAW_BYTES_MAX],
        client_id=intake.client_id,
        event_id=error.event_id,
        at_ms=intake.received_at,
    )
    return intake.client_id.encode(), letter.to_bytes()
