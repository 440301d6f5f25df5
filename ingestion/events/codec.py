"""The form of an event in the log (version 1): JSON, keys in a fixed order, nulls left out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json.encoder import encode_basestring as _quoted
from typing import Any, NoReturn

from ingestion.events.canonical import canonical_json
from ingestion.events.errors import MalformedRecord
from ingestion.events.event import HEARTBEAT_TYPE, Event
from ingestion.events.facts import LABEL_CHARS_MAX, SCORE_MAX, Facts

RECORD_VERSION = 1
SYSTEM_CLIENT = "_system"
# The last moment that every store and language can name: the end of the year 9999.
TIME_MS_MAX = 253_402_300_799_999
Loads = Callable[[bytes], Any]

_is_hash = re.compile(r"[0-9a-f]{32}").fullmatch
_control_in = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_TEXTS = {
    "event_id": 64,
    "client_id": 50,
    "session_id": 100,
    "user_id": 50,
    "event_type": 50,
    "industry": LABEL_CHARS_MAX,
    "campaign_type": LABEL_CHARS_MAX,
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
    """The event of a record's value; `loads` may be a faster JSON parser (errors: ValueError).

    Anyone may write into a log, so every property that the stores rely on is checked again.

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
    event_time = get("event_time")
    received_at = get("received_at")
    body_hash = get("body_hash")
    success = get("success")
    score = get("success_score")
    data = get("event_data")
    texts: list[Any] = [get(name) for name in _TEXTS]
    if (
        type(event_time) is not int
        or type(received_at) is not int
        or type(body_hash) is not str
        or type(data) is not dict
        or (success is not None and type(success) is not bool)
        or (score is not None and type(score) is not float and type(score) is not int)
        or not 0 <= event_time <= TIME_MS_MAX
        or not 0 <= received_at <= TIME_MS_MAX
        or not (score is None or 0 <= score <= SCORE_MAX)
        or not _is_hash(body_hash)
        or not _are_plain(texts)
    ):
        _blame(fields)
    event_id, client_id, session_id, user_id, event_type, industry, campaign_type = texts
    try:
        body = canonical_json(data)
    except (ValueError, RecursionError) as error:
        raise MalformedRecord("bad_text", f"event_data: {error}"[:200]) from None
    facts = Facts(industry, campaign_type, success, None if score is None else float(score))
    return Event(
        event_id,
        client_id,
        session_id,
        user_id,
        event_type,
        event_time,
        received_at,
        body_hash,
        facts,
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


def _are_plain(texts: list[Any]) -> bool:
    """Whether all texts, in the order of `_TEXTS`, are such as `admit` lets in."""
    for value, (name, chars_max) in zip(texts, _TEXTS.items(), strict=True):
        if value is None and name in _OPTIONAL:
            continue
        if type(value) is not str or not 0 < len(value) <= chars_max:
            return False
        if not (value.isascii() and value.isprintable()) and _fault_of(value):
            return False
    return True


def _fault_of(text: str) -> str:
    if _control_in(text):
        return "holds a control character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds a lone surrogate"
    return ""


def _blame(fields: dict[str, Any]) -> NoReturn:
    """Say what is wrong with a record that did not pass."""
    kinds: dict[str, tuple[type, ...]] = {
        **dict.fromkeys(_TEXTS, (str,)),
        "event_time": (int,),
        "received_at": (int,),
        "body_hash": (str,),
        "success": (bool,),
        "success_score": (int, float),
        "event_data": (dict,),
    }
    for name, kind in kinds.items():
        value = fields.get(name)
        if name not in fields and name not in _OPTIONAL:
            raise MalformedRecord("missing_field", name)
        if type(value) not in kind and not (value is None and name in _OPTIONAL):
            raise MalformedRecord("wrong_type", f"{name} is {type(value).__name__}")
    for name, chars_max in _TEXTS.items():
        text = fields.get(name)
        if text is not None:
            if not 0 < len(text) <= chars_max:
                raise MalformedRecord("out_of_range", f"{name} has {len(text)} characters")
            if fault := _fault_of(text):
                raise MalformedRecord("bad_text", f"{name} {fault}")
    if not _is_hash(fields["body_hash"]):
        raise MalformedRecord("out_of_range", "body_hash is not 32 hexadecimal digits")
    raise MalformedRecord("out_of_range", "event_time, received_at or success_score")
