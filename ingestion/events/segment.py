"""Segment's calls in the words of the event contract; a pure mapping, checked by `admit`.

RudderStack's SDKs speak the same dialect with three accents, all understood here: numeric session
ids, traits inside `context`, and `originalTimestamp` in place of `timestamp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS = ("track", "identify", "page", "screen", "group", "alias")
# What a call says beside its properties, kept under the same name unless the properties have it.
_BESIDE = {
    "page": ("name", "category"),
    "screen": ("name", "category"),
    "group": ("groupId",),
    "alias": ("previousId",),
}
_SENT_AS = {
    "event_id": "messageId",
    "user_id": "userId",
    "session_id": "context.sessionId",
    "event_type": "event",
}


def from_segment(call: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The raw event of one call; what is missing stays missing, for `admit` to name.

    `track` becomes its event name, any other call `segment.<call>`. The session is
    `context.sessionId`, else `properties.session_id`, else the anonymous id, else the user id.
    The time is the call's own; `sentAt` is ignored, because it changes with every retry.
    """
    context = call.get("context")
    data = _data(call, context, kind)
    raw: dict[str, Any] = {
        "event_type": call.get("event") if kind == "track" else f"segment.{kind}",
        "session_id": _session(call, context, data),
    }
    stamp = call.get("timestamp")
    optional = {
        "event_id": call.get("messageId"),
        "user_id": _id_text(call.get("userId")) or None,
        "timestamp": call.get("originalTimestamp") if stamp is None else stamp,
        "event_data": data,
    }
    raw.update((field, value) for field, value in optional.items() if value is not None)
    return raw


def sent_as(field: str, kind: str) -> str:
    """What the sender of a call knows a refused field by, for the error message."""
    if field.startswith("event_data"):
        data = "traits" if kind in ("identify", "group") else "properties"
        return data + field.removeprefix("event_data")
    return _SENT_AS.get(field, field)


def _data(call: Mapping[str, Any], context: Any, kind: str) -> Any:
    data = call.get("properties")
    if data is None:
        data = call.get("traits")
    if data is None and kind == "identify" and type(context) is dict:
        data = context.get("traits")
    beside = {
        name: call[name] for name in _BESIDE.get(kind, ()) if call.get(name) not in (None, "")
    }
    if not beside:
        return data
    if data is None:
        return beside
    return {**beside, **data} if type(data) is dict else data


def _session(call: Mapping[str, Any], context: Any, data: Any) -> Any:
    person = _id_text(call.get("anonymousId")) or _id_text(call.get("userId"))
    session = context.get("sessionId") if type(context) is dict else None
    if type(session) is int:
        # The second at which the session began: unique for one person only.
        return f"{person}:{session}" if type(person) is str and person else str(session)
    if session:
        return session
    if type(data) is dict and data.get("session_id"):
        return _id_text(data["session_id"])
    return person or None


def _id_text(value: Any) -> Any:
    """Ids that were numbers in the sender's database become text; other types are left alone."""
    return str(value) if type(value) is int else value
