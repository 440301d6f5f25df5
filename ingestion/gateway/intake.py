"""From the body of `/v1/events` to a batch: which form it has, and which road it takes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from infra.http import HttpError, Request, errors
from ingestion.events.errors import MalformedJson
from ingestion.gateway.batch import Batch, Intake
from ingestion.gateway.fast_json import loads, loads_lines
from ingestion.gateway.quick import read_quickly

LINE_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_FORGIVING = json.JSONDecoder()
_BLANKS = " \t\r\n"
_BLANK_CHARACTERS = frozenset(_BLANKS)
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
    """The events of a body that is not acceptable as a whole; None when it has no such parts.

    A forgiving parser finds where each element of the array ends, so that a number or a text
    that the strict one refuses is told as the fault of one event.
    """
    if lines:
        return [line for line in body.split(b"\n") if line.strip(b" \t\r")]
    try:
        text = body.decode().strip(_BLANKS)
        pieces = []
        end = 1 if text[:1] == "[" else len(text)
        while end < len(text):
            start = _skip_blanks(text, end)
            end = _FORGIVING.raw_decode(text, start)[1]
            pieces.append(text[start:end].encode())
            end = _skip_blanks(text, end)
            if text[end : end + 1] != ",":
                return pieces if text[end:] == "]" else None
            end += 1
    except (ValueError, RecursionError):
        pass
    return None


def _skip_blanks(text: str, at: int) -> int:
    while text[at : at + 1] in _BLANK_CHARACTERS:
        at += 1
    return at


def _piece(raw: bytes) -> Any:
    try:
        return loads(raw)
    except MalformedJson as error:
        return error
