"""What the gateway answers: the shapes, and how they are filled."""

from __future__ import annotations

from typing import Literal

import msgspec

from infra.http import HttpError, Response
from ingestion.gateway.batch import Batch, Refusal

# A request with thousands of bad events gets this many explained, and the number of all.
_ERRORS_LISTED_MAX = 100
_ENCODE = msgspec.json.Encoder().encode

Durability = Literal["kafka", "none"]


class EventFate(msgspec.Struct, omit_defaults=True):
    """What became of one event; the last four only when it was refused."""

    index: int
    result: Literal["accepted", "refused"]
    event_id: str | None = None
    code: str | None = None
    field: str | None = None
    reason: str | None = None
    remedy: str | None = None


class EventsAccepted(msgspec.Struct, omit_defaults=True):
    """The answer to events.

    `durability` is `kafka` when every accepted event is confirmed by the log, `none` with
    `?ack=accepted`. `event_ids` are those of the accepted events, in order. `dedupable` is false
    when the gateway had to make an id (at the places in `made`): a copy sent later cannot be
    recognised. `results` is given with `?partial=true`.
    """

    success: bool
    accepted: int
    event_ids: list[str]
    durability: Durability
    dedupable: bool
    made: list[int] = []
    results: list[EventFate] = []


class CallsAccepted(msgspec.Struct, omit_defaults=True):
    """The answer to Segment calls: how many became events, how many are dead letters."""

    success: bool
    accepted: int
    dead_lettered: int
    durability: Durability


def accepted(batch: Batch, durability: Durability, partial: bool) -> Response:
    """All events of the batch lie where `durability` says."""
    results = _fates(batch) if partial else []
    answer = EventsAccepted(
        True,
        len(batch.event_ids),
        batch.event_ids,
        durability,
        not batch.made,
        batch.made,
        results,
    )
    return Response(200, _ENCODE(answer))


def calls_accepted(batch: Batch, dead_lettered: int) -> Response:
    answer = CallsAccepted(True, len(batch.event_ids), dead_lettered, "kafka")
    return Response(200, _ENCODE(answer))


def refused(batch: Batch) -> HttpError:
    """400: nothing of the request is stored; names the first bad event, lists the others."""
    first = batch.refusals[0]
    listed = [_refused(refusal) for refusal in batch.refusals[:_ERRORS_LISTED_MAX]]
    name = f"event {first.place}"
    if first.error.event_id is not None:
        name += f" ({first.error.event_id})"
    return HttpError(
        400,
        "invalid_events",
        f"{name}: {first.error.field} {first.error.reason}; nothing of this request is stored.",
        first.error.remedy,
        more={"errors": listed, "errors_total": len(batch.refusals)},
    )


def not_stored(batch: Batch, message: str, remedy: str) -> HttpError:
    """503: to be sent again, with the ids made here where the sender gave none."""
    made = [batch.event_ids[place] for place in batch.made]
    return HttpError(
        503,
        "unavailable",
        message,
        remedy,
        headers={"Retry-After": "2"},
        more={"event_ids": batch.event_ids} if made else {},
    )


def _fates(batch: Batch) -> list[EventFate]:
    """One per event sent, in order."""
    refusals = {refusal.place: refusal for refusal in batch.refusals}
    ids = iter(batch.event_ids)
    count = len(batch.event_ids) + len(batch.refusals)
    return [
        _refused(refusals[index]) if index in refusals else EventFate(index, "accepted", next(ids))
        for index in range(count)
    ]


def _refused(refusal: Refusal) -> EventFate:
    error = refusal.error
    return EventFate(
        refusal.place,
        "refused",
        error.event_id,
        error.code,
        error.field,
        error.reason,
        error.remedy,
    )
