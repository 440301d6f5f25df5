"""The hot path: plain events from bytes to records, equal to `admit` and `encode` byte for byte.

An event is plain when every rule can be seen to hold with a few C calls: known fields only,
printable ASCII in ids, type and labels, JSON values that both encoders write alike. Everything
else goes to the reference (`Batch.add`), one event at a time, or as a whole request where even
the decoding is in doubt; a property test holds both roads to the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ingestion.events.admission import (
    AGE_MS_MAX,
    AHEAD_MS_MAX,
    EVENT_DATA_BYTES_MAX,
    EVENT_ID_CHARS_MAX,
    EVENT_TYPE_CHARS_MAX,
    SESSION_ID_CHARS_MAX,
    USER_ID_CHARS_MAX,
)
from ingestion.events.codec import RECORD_VERSION
from ingestion.events.facts import LABEL_CHARS_MAX, SCORE_MAX
from ingestion.events.values import INT64_MAX, INT64_MIN
from ingestion.gateway.batch import Batch, Intake
from ingestion.gateway.fast_json import UNDECODED, InDoubt, count_keys, keys_written

# Between these, both JSON writers print a float the same way: shortest digits, no exponent.
FLOAT_MIN = 1e-4
FLOAT_MAX = 1e15

_EVENT_IDS = re.compile(r"[A-Za-z0-9_.:-]*").fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SORTED = msgspec.json.Encoder(order="sorted").encode
_ENCODE = msgspec.json.Encoder().encode

_SessionId = Annotated[str, Meta(min_length=1, max_length=SESSION_ID_CHARS_MAX)]
_EventType = Annotated[str, Meta(min_length=1, max_length=EVENT_TYPE_CHARS_MAX)]
_EventId = Annotated[str, Meta(min_length=1, max_length=EVENT_ID_CHARS_MAX)]
_UserId = Annotated[str, Meta(min_length=1, max_length=USER_ID_CHARS_MAX)]
_Int = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
_Float = Annotated[float, Meta(ge=FLOAT_MIN, lt=FLOAT_MAX)]


class _Event(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event as sent; the decoder checks types and lengths, other rules follow."""

    session_id: _SessionId
    event_type: _EventType
    event_id: _EventId | UnsetType | None = UNSET
    user_id: _UserId | UnsetType | None = UNSET
    timestamp: str | UnsetType | None = UNSET
    event_time: int | UnsetType | None = UNSET
    event_data: dict[str, Any] | UnsetType | None = UNSET


class _FlatEvent(_Event, forbid_unknown_fields=True, gc=False):
    """An event whose data holds only values that need no second look."""

    event_data: dict[str, str | _Int | _Float | bool | None] | UnsetType | None = UNSET


class _Record(msgspec.Struct, omit_defaults=True, gc=False):
    """The record's value, in the codec's order of keys."""

    v: int = 0
    event_id: str = ""
    client_id: str = ""
    session_id: str = ""
    user_id: str | None = None
    event_type: str = ""
    event_time: int = -1
    received_at: int = -1
    body_hash: str = ""
    industry: str | None = None
    campaign_type: str | None = None
    success: bool | None = None
    success_score: float | None = None
    event_data: Raw | None = None


_FLAT_ONE = msgspec.json.Decoder(_FlatEvent)
_FLAT_MANY = msgspec.json.Decoder(list[_FlatEvent])
_ANY_ONE = msgspec.json.Decoder(_Event)
_ANY_MANY = msgspec.json.Decoder(list[_Event])


def read_quickly(body: bytes, lines: bool, intake: Intake, events_max: int) -> Batch | None:
    """The batch of a body of plain events; None when only the reference can tell."""
    try:
        raws, flat = _decoded(body, lines)
        escapes = b"\\" in body
        if len(raws) > events_max or (escapes and b"\\u0000" in body):
            return None
        # JSON text holds no raw control characters below 0x20, so this makes all of it printable.
        printable = not escapes and body.isascii() and b"\x7f" not in body
        keys = keys_written(body)
        batch = Batch()
        keys_found = 0
        for index, raw in enumerate(raws):
            keys_found += _take(batch, index, raw, intake, flat, printable)
    except (InDoubt, *UNDECODED):
        return None
    if keys != keys_found or not _EVENT_IDS("".join(batch.event_ids)):
        return None
    return batch


def _decoded(body: bytes, lines: bool) -> tuple[Sequence[_Event], bool]:
    """The events, and whether their data is known to be flat and plain."""
    many = body[:1] == b"["
    try:
        if lines:
            return _FLAT_ONE.decode_lines(body), True
        return _FLAT_MANY.decode(body) if many else [_FLAT_ONE.decode(body)], True
    except msgspec.ValidationError:
        if lines:
            return _ANY_ONE.decode_lines(body), False
        return _ANY_MANY.decode(body) if many else [_ANY_ONE.decode(body)], False


def _take(
    batch: Batch, index: int, raw: _Event, intake: Intake, flat: bool, printable: bool
) -> int:
    """Add one event to the batch; returns how many keys it was sent with."""
    keys = 2
    data = raw.event_data
    user_id = raw.user_id
    event_id = raw.event_id
    if raw.timestamp is not UNSET:
        keys += 1
    if raw.event_time is not UNSET:
        keys += 1
    if user_id is UNSET:
        user_id = None
    else:
        keys += 1
    if data is UNSET:
        data = {}
    else:
        keys += 1
        if data is None:
            data = {}
        else:
            keys += len(data) if flat else count_keys(data)
    if event_id is not UNSET:
        keys += 1
    final_id = event_id or intake.new_id()
    record = None
    if flat or _is_plain(data):
        record = _record(raw, final_id, user_id, data, intake, printable)
    if record is None:
        batch.add(index, _as_sent(raw), intake)
    else:
        if final_id is not event_id:
            batch.made.append(len(batch.event_ids))
        batch.event_ids.append(final_id)
        batch.records.append((raw.session_id.encode(), record))
    return keys


def _is_plain(value: Any) -> bool:
    """Whether both JSON writers write a decoded value alike, and stores can hold it."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(INT64_MIN <= value <= INT64_MAX)
    if kind is float:
        return bool(FLOAT_MIN <= abs(value) < FLOAT_MAX or value == 0.0)
    return all(map(_is_plain, value.values() if kind is dict else value))


def _record(
    raw: _Event,
    event_id: str,
    user_id: str | None,
    data: dict[str, Any],
    intake: Intake,
    printable: bool,
) -> bytes | None:
    """The record's value, or None when a rule is not plainly kept."""
    session_id = raw.session_id
    event_type = raw.event_type
    industry = data.get("industry")
    campaign_type = data.get("campaign_type")
    success = data.get("success")
    score = data.get("success_score")
    if (
        event_type[0] == "_"
        or not (success is None or type(success) is bool)
        or not (industry is None or _is_label(industry))
        or not (campaign_type is None or _is_label(campaign_type))
        or not (score is None or type(score) is float or type(score) is int)
    ):
        return None
    if not printable:
        text = f"{session_id}{event_type}{user_id}{industry}{campaign_type}"
        if not (text.isascii() and text.isprintable()):
            return None
    if score is not None:
        score = round(float(min(max(score, 0.0), SCORE_MAX)), 5)
        if 0.0 < score < FLOAT_MIN:
            return None
    received_at = intake.received_at
    sent_at = _sender_time(raw)
    event_time = received_at if sent_at is None else sent_at
    body = _SORTED(data)
    if (
        not received_at - AGE_MS_MAX <= event_time <= received_at + AHEAD_MS_MAX
        or len(body) > EVENT_DATA_BYTES_MAX
    ):
        return None
    hashed = _ENCODE((session_id, user_id, event_type, sent_at))
    record = _Record(
        RECORD_VERSION,
        event_id,
        intake.client_id,
        session_id,
        user_id,
        event_type,
        event_time,
        received_at,
        sha256(hashed[:-1] + b"," + body + b"]").hexdigest()[:32],
        industry,
        campaign_type,
        success,
        score,
        Raw(body),
    )
    return _ENCODE(record)


def _is_label(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= LABEL_CHARS_MAX


def _sender_time(raw: _Event) -> int | None:
    """The sender's time in ms.

    Raises:
        InDoubt: both times are given, or the text is not a time with a zone.
    """
    stamp = raw.timestamp
    time = raw.event_time
    if stamp is UNSET or stamp is None:
        return None if time is UNSET else time
    if time is not UNSET and time is not None:
        raise InDoubt
    try:
        elapsed = datetime.fromisoformat(stamp) - _EPOCH
    except (ValueError, TypeError):
        raise InDoubt from None
    return (elapsed.days * 86_400 + elapsed.seconds) * 1000 + elapsed.microseconds // 1000


def _as_sent(raw: _Event) -> dict[str, Any]:
    return {
        name: value
        for name in _Event.__struct_fields__
        if (value := getattr(raw, name)) is not UNSET
    }
