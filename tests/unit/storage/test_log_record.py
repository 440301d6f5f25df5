"""The writer's fast decoder says what the codec says."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingestion.events import codec
from ingestion.events.codec import encode
from ingestion.events.errors import MalformedRecord
from storage.writers.log_record import LogRecord, decode
from tests.support.builders import event

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
FACTS = ("industry", "campaign_type", "success", "success_score")
FIELDS = [
    *("v", "event_id", "client_id", "session_id", "user_id", "event_type", "event_time"),
    *("received_at", "body_hash", "industry", "campaign_type", "success", "success_score"),
    *("event_data", "unheard_of"),
]


def said(record: LogRecord) -> dict[str, Any]:
    fields = {name: getattr(record, name) for name in LogRecord.__struct_fields__}
    return {**fields, "event_data": msgspec.json.decode(record.event_data)}


def by_codec(raw: bytes | None) -> dict[str, Any] | str:
    try:
        event = codec.decode(raw, msgspec.json.decode)
    except MalformedRecord as error:
        return error.reason
    facts = {name: getattr(event.facts, name) for name in FACTS}
    names = ("event_id", "client_id", "session_id", "user_id", "event_type", "event_time")
    own = {name: getattr(event, name) for name in (*names, "received_at", "body_hash")}
    return {"v": 1, **own, **facts, "event_data": msgspec.json.decode(event.event_data)}


def by_writer(raw: bytes | None) -> dict[str, Any] | str:
    try:
        return said(decode(raw))
    except MalformedRecord as error:
        return error.reason


def test_a_gateways_record_reads_the_same() -> None:
    raw = encode(event(data={"industry": "retail", "success_score": 7, "deep": [{"a": "é\\n"}]}))
    assert by_writer(raw) == by_codec(raw)
    assert not isinstance(by_writer(raw), str)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4))
@example({"event_time": 1.0})
@example({"success_score": True})
@example({"event_data": None})
@example({"v": True})
@example({"v": 1.0})
def test_any_change_of_a_record_is_judged_alike(changes: dict[str, Any]) -> None:
    record = {**json.loads(encode(event(user_id="u"))), **changes}
    raw = json.dumps(record).encode()
    assert by_writer(raw) == by_codec(raw)


@given(st.sampled_from(FIELDS))
def test_a_missing_field_is_judged_alike(name: str) -> None:
    record = json.loads(encode(event(user_id="u")))
    record.pop(name, None)
    raw = json.dumps(record).encode()
    assert by_writer(raw) == by_codec(raw)


@given(st.binary(max_size=40))
def test_noise_is_judged_alike(raw: bytes) -> None:
    assert by_writer(raw) == by_codec(raw)
