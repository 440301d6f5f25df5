"""What is let in: every rule of the event contract, on a decoded JSON object."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from typing import Any, NamedTuple, NoReturn

from ingestion.events.canonical import canonical_json
from ingestion.events.errors import RejectedEvent
from ingestion.events.event import Event
from ingestion.events.facts import promote
from ingestion.events.values import control_in, find_fault, is_plain

EVENT_ID_CHARS_MAX = 64
SESSION_ID_CHARS_MAX = 100
USER_ID_CHARS_MAX = 50
EVENT_TYPE_CHARS_MAX = 50
EVENT_DATA_BYTES_MAX = 32_768
# Two calendar years hold 731 days at most.
AGE_MS_MAX = 731 * 86_400_000
AHEAD_MS_MAX = 86_400_000

_is_event_id = re.compile(r"[A-Za-z0-9_.:-]{1,64}").fullmatch
_FIELDS = frozenset(
    ("event_id", "session_id", "user_id", "event_type", "event_data", "timestamp", "event_time")
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Admitted(NamedTuple):
    """An accepted event; `dedupable` is False when the id was made here."""

    event: Event
    dedupable: bool
    wrong_type_keys: tuple[str, ...]


def admit(
    raw: Mapping[str, Any],
    *,
    client_id: str,
    received_at: int,
    new_id: Callable[[], str],
    canonical: Callable[[Any], bytes] = canonical_json,
) -> Admitted:
    """Check one decoded event and give it its final form.

    `received_at` is the first receipt in ms; `new_id` makes an id where the sender gave none;
    `canonical` may be a faster encoder with the same bytes and errors as `canonical_json`.

    Raises:
        RejectedEvent: names the event, the field, the reason and the remedy.
    """
    try:
        return _admit(raw, client_id, received_at, new_id, canonical)
    except RejectedEvent as refusal:
        given = raw.get("event_id") if isinstance(raw, dict) else None
        if isinstance(given, str) and given.isprintable():
            refusal.event_id = given[:EVENT_ID_CHARS_MAX]
        raise


def _admit(
    raw: Mapping[str, Any],
    client_id: str,
    received_at: int,
    new_id: Callable[[], str],
    canonical: Callable[[Any], bytes],
) -> Admitted:
    if type(raw) is not dict:
        _refuse("event", "is not a JSON object", "send an object with the event's fields")
    if not _FIELDS.issuperset(raw):
        _refuse_unknown(raw)
    get = raw.get
    event_id = get("event_id")
    dedupable = event_id is not None
    if event_id is None:
        event_id = new_id()
    elif type(event_id) is not str or not _is_event_id(event_id):
        _refuse(
            "event_id",
            "is not 1-64 characters of A-Z a-z 0-9 _ . : -",
            "use such an id, or leave it out and one is made",
        )
    session_id = _text(get("session_id"), "session_id", SESSION_ID_CHARS_MAX)
    user_id = get("user_id")
    if user_id is not None:
        user_id = _text(user_id, "user_id", USER_ID_CHARS_MAX)
    event_type = _event_type(get("event_type"))
    sender_time = _sender_time(get("event_time"), get("timestamp"))
    event_time = received_at if sender_time is None else sender_time
    if not received_at - AGE_MS_MAX <= event_time <= received_at + AHEAD_MS_MAX:
        _refuse_time(raw, event_time, received_at)
    data = get("event_data")
    if data is None:
        data = {}
    body = _event_data(data, canonical)
    facts, wrong_type_keys = promote(data)
    event = Event(
        event_id,
        client_id,
        session_id,
        user_id,
        event_type,
        event_time,
        received_at,
        _body_hash(session_id, user_id, event_type, sender_time, body),
        facts,
        body,
    )
    return Admitted(event, dedupable, wrong_type_keys)


def _text(value: Any, field: str, chars_max: int) -> str:
    if type(value) is not str or not 0 < len(value) <= chars_max:
        _refuse(
            field,
            "is missing" if value is None else f"is not text of 1-{chars_max} characters",
            f"send text of 1-{chars_max} characters",
        )
    if not (value.isascii() and value.isprintable()):
        fault = find_fault(value)
        if fault is not None:
            _refuse(field, fault.reason, fault.remedy)
        if control_in(value):
            _refuse(field, "holds a control character", "remove it")
    return value


def _event_type(value: Any) -> str:
    text = _text(value, "event_type", EVENT_TYPE_CHARS_MAX)
    if text[0] == "_":
        _refuse("event_type", "begins with _, which is reserved", "use another first character")
    if text.isascii():
        return text
    # A few characters become longer in NFC.
    text = unicodedata.normalize("NFC", text)
    if len(text) > EVENT_TYPE_CHARS_MAX:
        _refuse("event_type", "is longer than 50 characters in NFC", "shorten it")
    return text


def _sender_time(time: Any, stamp: Any) -> int | None:
    """The sender's time in ms, None where none is given."""
    if stamp is None:
        if time is None or type(time) is int:
            return time
        _refuse("event_time", "is not an integer", "send milliseconds since 1970-01-01 UTC")
    if time is not None:
        _refuse("timestamp", "and event_time are both given", "send one of them")
    moment = _moment(stamp) if type(stamp) is str else None
    if moment is None:
        _refuse("timestamp", "is not an ISO 8601 time", "send for example 2026-01-31T12:00:00.000Z")
    elapsed = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1000 + elapsed.microseconds // 1000


def _moment(stamp: str) -> datetime | None:
    try:
        return datetime.fromisoformat(stamp)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(stamp.upper())  # RFC 3339 allows t and z
    except ValueError:
        return None


def _event_data(data: Any, canonical: Callable[[Any], bytes]) -> bytes:
    if type(data) is not dict:
        _refuse("event_data", "is not a JSON object", "send an object or leave it out")
    try:
        body = canonical(data)
    except (ValueError, TypeError, RecursionError):
        _refuse_data(data)
        _refuse("event_data", "cannot be written as JSON", "send plain JSON values")
    if b"\\u0000" in body or not is_plain(data):
        _refuse_data(data)
    if len(body) > EVENT_DATA_BYTES_MAX:
        _refuse(
            "event_data",
            f"has {len(body)} bytes, the limit is {EVENT_DATA_BYTES_MAX}",
            "send less, or a reference to where the rest is kept",
            code="too_large",
        )
    return body


def _body_hash(
    session_id: str, user_id: str | None, event_type: str, sender_time: int | None, body: bytes
) -> str:
    """Hash of the canonical JSON of [session, user, type, sender's time, data], 32 hex digits.

    Put together by hand, so that the data is not encoded twice. The receipt time is left out:
    copies of an event without a time of its own must be equal.
    """
    user = "null" if user_id is None else _quoted(user_id)
    time = "null" if sender_time is None else sender_time
    head = f"[{_quoted(session_id)},{user},{_quoted(event_type)},{time},"
    return sha256(head.encode() + body + b"]").hexdigest()[:32]


def _refuse(field: str, reason: str, remedy: str, code: str = "invalid") -> NoReturn:
    raise RejectedEvent(field, reason, remedy, code=code)


def _refuse_data(data: dict[str, Any]) -> None:
    fault = find_fault(data)
    if fault is not None:
        _refuse(f"event_data{fault.path}", fault.reason, fault.remedy)


def _refuse_unknown(raw: Mapping[str, Any]) -> NoReturn:
    if "client_id" in raw:
        _refuse("client_id", "cannot be sent", "remove it; the tenant comes from the API key")
    field = ascii(next(field for field in raw if field not in _FIELDS)).strip("'")[:50]
    _refuse(field, "is not a field of an event", "put it into event_data", code="unknown_field")


def _refuse_time(raw: Mapping[str, Any], event_time: int, received_at: int) -> NoReturn:
    field = "timestamp" if raw.get("event_time") is None else "event_time"
    remedy = "check the sender's clock; event_time is in milliseconds"
    if event_time < received_at:
        _refuse(field, "is older than two years", remedy, code="too_old")
    _refuse(field, "is more than 24 hours ahead", remedy, code="too_far_ahead")
