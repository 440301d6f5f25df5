"""From the body of `/v1/events` to a batch: which form it has, and which road it takes."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from infra.http import HttpError, Request, errors
from ingestion.events.errors import MalformedJson
from ingestion.gateway.batch import Batch, Intake
from ingestion.gateway.fast_json import UNDECODED, loads, loads_lines
from ingestion.gateway.quick import read_quickly

LINE_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
# Above this the reference runs beside the event loop, so that one odd body delays nobody.
_INLINE_BYTES_MAX = 65_536
# What the reference says of a second document in the same body.
_MORE_THAN_ONE = "Extra data"


async def read_events(request: Request, intake: Intake, events_max: int) -> Batch:
    """One event, an array of events, or one event per line.

    Raises:
        HttpError: 400 for JSON that cannot be read or holds no event, 413 for too many events.
    """
    body = request.body
    declared = request.headers.get("content-type") or ""
    lines = declared.partition(";")[0].strip().lower() in LINE_TYPES
    batch = read_quickly(body, lines, intake, events_max)
    if batch is None:
        if len(body) <= _INLINE_BYTES_MAX:
            batch = read_carefully(body, lines, intake, events_max)
        else:
            batch = await asyncio.to_thread(read_carefully, body, lines, intake, events_max)
    if not batch.event_ids and not batch.refusals:
        raise errors.bad_request(
            "no_events", "The request holds no event.", "Send an event object or an array of them."
        )
    return batch


def read_carefully(body: bytes, lines: bool, intake: Intake, events_max: int) -> Batch:
    """Any body, by the reference rules, event by event."""
    documents = _documents(body, lines)
    if len(documents) > events_max:
        raise too_many_events(len(documents), events_max)
    batch = Batch()
    for index, document in enumerate(documents):
        if type(document) is MalformedJson:
            batch.refuse(index, document)
        else:
            batch.add(index, document, intake)
    return batch


def too_many_events(count: int, events_max: int) -> HttpError:
    return HttpError(
        413,
        "too_many_events",
        f"The request holds {count} events, the limit is {events_max}.",
        "Send them in several requests.",
    )


def malformed(error: MalformedJson) -> HttpError:
    """The problem for a body that is not acceptable JSON."""
    return errors.bad_request(
        "malformed_json",
        f"The body cannot be read: {error}.",
        "Nothing was stored; send valid JSON in UTF-8.",
        position=error.position,
    )


def _documents(body: bytes, lines: bool) -> list[Any]:
    """One decoded event each, or the MalformedJson that stands in its place."""
    try:
        if lines:
            return loads_lines(body)
        value = loads(body)
    except MalformedJson as error:
        if not lines and error.reason == _MORE_THAN_ONE and body.lstrip()[:1] == b"{":
            return _documents(body, True)
        pieces = _pieces(body, lines)
        if pieces is None:
            raise malformed(error) from None
        return [_piece(piece) for piece in pieces]
    return value if type(value) is list else [value]


def _pieces(body: bytes, lines: bool) -> list[bytes] | None:
    """The raw events of a body that is not acceptable as a whole; None when it has no parts."""
    if lines:
        return [line for line in body.split(b"\n") if line.strip(b" \t\r")]
    try:
        return [bytes(raw) for raw in _RAWS.decode(body)]
    except UNDECODED:
        return None


def _piece(raw: bytes) -> Any:
    try:
        return loads(raw)
    except MalformedJson as error:
        return error
