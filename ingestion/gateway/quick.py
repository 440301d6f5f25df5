"""The hot path: plain events from bytes to records, equal to `admit` and `encode` byte for byte.

An event is plain when every rule can be seen to hold with a few C calls: known fields only,
printable ASCII in ids, type and labels, JSON values that both encoders write alike. Everything
else goes to the reference (`Batch.add`), one event at a time, or as a whole request where even
the decoding is in doubt; a property test holds both roads to the same bytes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ingestion.events.admission import (
    AGE_MS_MAX,
    AHEAD_MS_MAX,
    EVENT_DATA_BYTES_MAX,
    EVENT_TYPE_CHARS_MAX,
    SESSION_ID_CHARS_MAX,
    USER_ID_CHARS_MAX,
)
from ingestion.events.codec import RECORD_VERSION
from ingestion.events.facts import LABEL_CHARS_MAX, SCORE_MAX
from ingestion.events.values import DEPTH_MAX, INT64_MAX, INT64_MIN
from ingestion.gateway.batch import Batch, Intake
from ingestion.gateway.fast_json import UNDECODED, InDoubt, keys_written

_EVENT_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}").fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SORTED = msgspec.json.Encoder(order="sorted").encode
_ENCODE = msgspec.json.Encoder().encode
# Between these, both JSON writers print a float the same way: shortest digits, no exponent.
_FLOAT_MIN = 1e-4
_FLOAT_MAX = 1e15


class _RawEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event as sent; types and lengths are checked by the decoder, other rules below."""

    session_id: Annotated[str, Meta(min_length=1, max_length=SESSION_ID_CHARS_MAX)]
    event_type: Annotated[str, Meta(min_length=1, max_length=EVENT_TYPE_CHARS_MAX)]
    event_id: str | UnsetType | None = UNSET
    user_id: Annotated[str, Meta(min_length=1, max_length=USER_ID_CHARS_MAX)] | UnsetType | None = (
        UNSET
    )
    timestamp: str | UnsetType | None = UNSET
    event_time: int | UnsetType | None = UNSET
    event_data: dict[str, Any] | UnsetType | None = UNSET


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


_ONE = msgspec.json.Decoder(_RawEvent)
_MANY = msgspec.json.Decoder(list[_RawEvent])


def read_quickly(body: bytes, lines: bool, intake: Intake, events_max: int) -> Batch | None:
    """The batch of a body of plain events; None when only the reference can tell."""
    try:
        if lines:
            raws = _ONE.decode_lines(body)
        elif body[:1] == b"[":
            raws = _MANY.decode(body)
        else:
            raws = [_ONE.decode(body)]
        if len(raws) > events_max:
            return None
        escapes = b"\\" in body
        if escapes and b"\\u0000" in body:
            return None
        # JSON text holds no raw control characters below 0x20, so this makes all of it printable.
        printable = not escapes and body.isascii() and b"\x7f" not in body
        keys_left = keys_written(body)
        batch = Batch()
        for index, raw in enumerate(raws):
            keys_left -= _take(batch, index, raw, intake, printable)
    except (InDoubt, *UNDECODED):
        return None
    return None if keys_left else batch


def _take(batch: Batch, index: int, raw: _RawEvent, intake: Intake, printable: bool) -> int:
    """Add one event to the batch; returns how many keys it was sent with."""
    keys = 2 + (raw.timestamp is not UNSET) + (raw.event_time is not UNSET)
    plain = True
    data = raw.event_data
    if data is UNSET or data is None:
        keys += data is None
        data = {}
    else:
        data_keys, plain = _survey(data)
        keys += 1 + data_keys
    user_id = raw.user_id
    if user_id is UNSET:
        user_id = None
    else:
        keys += 1
    event_id = raw.event_id
    made = False
    if event_id is UNSET or event_id is None:
        keys += event_id is None
        made = True
        event_id = intake.new_id()
    else:
        keys += 1
        plain = plain and _EVENT_ID(event_id) is not None
    record = _record(raw, event_id, user_id, data, intake, printable) if plain else None
    if record is None:
        batch.add(index, _as_sent(raw), intake)
    else:
        if made:
            batch.made.append(len(batch.event_ids))
        batch.event_ids.append(event_id)
        batch.records.append((raw.session_id.encode(), record))
    return keys


def _survey(data: dict[str, Any]) -> tuple[int, bool]:
    """(keys in the data, whether every value is one that both JSON writers write alike)."""
    plain = True
    nested = 0
    for value in data.values():
        kind = type(value)
        if kind is str or kind is bool or value is None:
            continue
        if kind is int:
            plain = plain and INT64_MIN <= value <= INT64_MAX
        elif kind is float:
            plain = plain and (_FLOAT_MIN <= value < _FLOAT_MAX or value == 0.0)
        else:
            keys, inner_plain = _survey_nested(value, 2)
            nested += keys
            plain = plain and inner_plain
    return len(data) + nested, plain


def _survey_nested(value: Any, depth: int) -> tuple[int, bool]:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return 0, True
    if kind is int:
        return 0, INT64_MIN <= value <= INT64_MAX
    if kind is float:
        return 0, _FLOAT_MIN <= abs(value) < _FLOAT_MAX or value == 0.0
    if depth > DEPTH_MAX:
        raise InDoubt
    keys = len(value) if kind is dict else 0
    plain = True
    for inner in value.values() if kind is dict else value:
        inner_keys, inner_plain = _survey_nested(inner, depth + 1)
        keys += inner_keys
        plain = plain and inner_plain
    return keys, plain


def _record(
    raw: _RawEvent,
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
    if (
        event_type[0] == "_"
        or (success is not None and type(success) is not bool)
        or not (industry is None or _is_label(industry))
        or not (campaign_type is None or _is_label(campaign_type))
    ):
        return None
    if not printable:
        text = f"{session_id}{event_type}{user_id}{industry}{campaign_type}"
        if not (text.isascii() and text.isprintable()):
            return None
    received_at = intake.received_at
    sent_at = _sender_time(raw)
    event_time = received_at if sent_at is None else sent_at
    if not received_at - AGE_MS_MAX <= event_time <= received_at + AHEAD_MS_MAX:
        return None
    score = data.get("success_score")
    if score is not None:
        if type(score) is not float and type(score) is not int:
            return None
        score = round(float(score) if 0 <= score <= SCORE_MAX else 0.0 if score < 0 else 10.0, 5)
        if 0.0 < score < _FLOAT_MIN:
            return None
    body = _SORTED(data)
    if len(body) > EVENT_DATA_BYTES_MAX:
        return None
    hashed = _ENCODE((session_id, user_id, event_type, sent_at))
    # By position, in the order of the fields of _Record.
    return _ENCODE(
        _Record(
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
    )


def _is_label(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= LABEL_CHARS_MAX


def _sender_time(raw: _RawEvent) -> int | None:
    """The sender's time in ms; the reference decides about anything but one plain form.

    Raises:
        InDoubt: both times are given, or the text is not one that has a zone.
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


def _as_sent(raw: _RawEvent) -> dict[str, Any]:
    return {
        name: value
        for name in _RawEvent.__struct_fields__
        if (value := getattr(raw, name)) is not UNSET
    }
