"""The form of an event in the log (version 1): JSON, keys in a fixed order, nulls left out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json.encoder import encode_basestring as _quoted
from typing import Any

from ingestion.events.admission import (
    EVENT_ID_CHARS_MAX,
    EVENT_TYPE_CHARS_MAX,
    SESSION_ID_CHARS_MAX,
    USER_ID_CHARS_MAX,
)
from ingestion.events.canonical import canonical_json
from ingestion.events.errors import MalformedRecord
from ingestion.events.event import HEARTBEAT_TYPE, Event
from ingestion.events.facts import LABEL_CHARS_MAX, SCORE_MAX, Facts
from ingestion.events.values import control_in, text_is_whole

RECORD_VERSION = 1
SYSTEM_CLIENT = "_system"
CLIENT_ID_CHARS_MAX = 50
# The last moment that every store and language can name: the end of the year 9999.
TIME_MS_MAX = 253_402_300_799_999
Loads = Callable[[bytes], Any]

_is_hash = re.compile(r"[0-9a-f]{32}").fullmatch
# In the order in which `decode` takes them apart; the last three may be absent.
_TEXT_CHARS_MAX = {
    "event_id": EVENT_ID_CHARS_MAX,
    "client_id": CLIENT_ID_CHARS_MAX,
    "session_id": SESSION_ID_CHARS_MAX,
    "event_type": EVENT_TYPE_CHARS_MAX,
    "user_id": USER_ID_CHARS_MAX,
    "industry": LABEL_CHARS_MAX,
    "campaign_type": LABEL_CHARS_MAX,
}
_CHARS_MAX_EACH = min(_TEXT_CHARS_MAX.values())
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_TEXT_CHARS_MAX, (str,)),
    "event_time": (int,),
    "received_at": (int,),
    "body_hash": (str,),
    "success": (bool,),
    "success_score": (int, float),
    "event_data": (dict,),
}
_OPTIONAL = frozenset(("user_id", "industry", "campaign_type", "success", "success_score"))


def encode(event: Event) -> bytes:
    """The record's value."""
    user_id = event.user_id
    industry, campaign_type, success, success_score = event.facts
    user = "" if user_id is None else f',"user_id":{_quoted(user_id)}'
    facts = "" if industry is None else f',"industry":{_quoted(industry)}'
    if campaign_type is not None:
        facts += f',"campaign_type":{_quoted(campaign_type)}'
    if success is not None:
        facts += ',"success":true' if success else ',"success":false'
    if success_score is not None:
        facts += f',"success_score":{success_score!r}'
    head = (
        f'{{"v":{RECORD_VERSION},"event_id":{_quoted(event.event_id)}'
        f',"client_id":{_quoted(event.client_id)},"session_id":{_quoted(event.session_id)}{user}'
        f',"event_type":{_quoted(event.event_type)},"event_time":{event.event_time}'
        f',"received_at":{event.received_at},"body_hash":"{event.body_hash}"{facts},"event_data":'
    )
    return head.encode() + event.event_data + b"}"


def decode(raw: bytes | None, loads: Loads = json.loads) -> Event:
    """The event of a record's value; `loads` may be a faster JSON parser that raises ValueError.

    Anyone may write into a log, so whatever the engines and stores rely on is checked again.

    Raises:
        MalformedRecord: its `reason` is one of empty, not_json, unknown_version, missing_field,
            wrong_type, out_of_range, bad_text.
    """
    if raw is None:
        raise MalformedRecord("empty", "the record has no value")
    try:
        fields = loads(raw)
    except (ValueError, RecursionError) as error:
        raise MalformedRecord("not_json", str(error)[:200]) from None
    if type(fields) is not dict or fields.get("v") != RECORD_VERSION:
        raise MalformedRecord("unknown_version", "not a version 1 event record")
    get = fields.get
    texts: list[Any] = [get(name) for name in _TEXT_CHARS_MAX]
    if not _are_short_and_plain(texts) or not _rest_is_plain(fields):
        _check(fields)
    try:
        body = canonical_json(fields["event_data"])
    except (ValueError, RecursionError) as error:
        raise MalformedRecord("bad_text", f"event_data: {error}"[:200]) from None
    event_id, client_id, session_id, event_type, user_id, industry, campaign_type = texts
    score = get("success_score")
    return Event(
        event_id,
        client_id,
        session_id,
        user_id,
        event_type,
        fields["event_time"],
        fields["received_at"],
        fields["body_hash"],
        Facts(industry, campaign_type, get("success"), None if score is None else float(score)),
        body,
    )


def heartbeat(partition: int, now_ms: int) -> bytes:
    """A record that only says what time it is in its partition."""
    return encode(
        Event(
            event_id=f"hb-{partition}-{now_ms}",
            client_id=SYSTEM_CLIENT,
            session_id=HEARTBEAT_TYPE,
            user_id=None,
            event_type=HEARTBEAT_TYPE,
            event_time=now_ms,
            received_at=now_ms,
            body_hash="0" * 32,
            facts=Facts(),
            event_data=b"{}",
        )
    )


def _are_short_and_plain(texts: list[Any]) -> bool:
    """A quick yes for most records; no means only that `_check` has to look."""
    if None in texts:
        texts = texts[:4] + [text for text in texts[4:] if text is not None]
    try:
        joined = "".join(texts)
    except TypeError:
        return False
    lengths = [len(text) for text in texts]
    return (
        min(lengths) > 0
        and max(lengths) <= _CHARS_MAX_EACH
        and joined.isascii()
        and joined.isprintable()
    )


def _rest_is_plain(fields: dict[str, Any]) -> bool:
    """Exact for the numbers, the truth value, the hash and the kind of the data."""
    get = fields.get
    event_time = get("event_time")
    received_at = get("received_at")
    body_hash = get("body_hash")
    success = get("success")
    score = get("success_score")
    return (
        type(event_time) is int
        and type(received_at) is int
        and 0 <= event_time <= TIME_MS_MAX
        and 0 <= received_at <= TIME_MS_MAX
        and type(body_hash) is str
        and _is_hash(body_hash) is not None
        and (success is None or type(success) is bool)
        and (score is None or (type(score) in (int, float) and 0 <= score <= SCORE_MAX))
        and type(get("event_data")) is dict
    )


def _check(fields: dict[str, Any]) -> None:
    """The rules one by one, to name what is wrong."""
    for name, kinds in _KINDS.items():
        value = fields.get(name)
        if name not in fields and name not in _OPTIONAL:
            raise MalformedRecord("missing_field", name)
        if type(value) not in kinds and not (value is None and name in _OPTIONAL):
            raise MalformedRecord("wrong_type", f"{name} is {type(value).__name__}")
    for name, chars_max in _TEXT_CHARS_MAX.items():
        text = fields.get(name)
        if text is None:
            continue
        if not 0 < len(text) <= chars_max:
            raise MalformedRecord("out_of_range", f"{name} has {len(text)} characters")
        if control_in(text) or not text_is_whole(text):
            raise MalformedRecord("bad_text", f"{name} has a control character or half a character")
    if not _is_hash(fields["body_hash"]):
        raise MalformedRecord("out_of_range", "body_hash is not 32 hexadecimal digits")
    if not _rest_is_plain(fields):
        raise MalformedRecord("out_of_range", "a time or success_score is out of range")
