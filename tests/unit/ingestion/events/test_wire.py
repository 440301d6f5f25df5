"""JSON at the door, the record in the log, Segment's words, dead letters."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.events import codec
from ingestion.events.dead_letter import DeadLetter
from ingestion.events.errors import MalformedJson, MalformedRecord
from ingestion.events.key import partition_key
from ingestion.events.segment import from_segment
from ingestion.events.strict_json import loads_strict
from tests.support.builders import event

text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(text, values, max_size=4), text.filter(bool), st.booleans())
def test_a_record_gives_the_same_event_back(data: Any, session: str, success: bool) -> None:
    made = event(session_id=session, data={**data, "success": success, "success_score": 3.3})
    assert codec.decode(codec.encode(made)) == made
    assert json.loads(codec.encode(made))["event_data"] == json.loads(made.event_data)


def test_a_record_is_keyed_by_its_session() -> None:
    assert partition_key(event(session_id="s-\u00e9")) == "s-\u00e9".encode()


def test_a_heartbeat_says_the_time_and_nothing_else() -> None:
    beat = codec.decode(codec.heartbeat(7, 123))
    assert beat.is_heartbeat
    assert (beat.event_time, beat.received_at) == (123, 123)


def changed(**fields: Any) -> bytes:
    record = {**json.loads(codec.encode(event())), **fields}
    return json.dumps({k: v for k, v in record.items() if v is not ...}).encode()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "empty"),
        (b"", "not_json"),
        (b"hello", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[]", "unknown_version"),
        (b'{"v":2}', "unknown_version"),
        (changed(event_id=...), "missing_field"),
        (changed(event_time="5"), "wrong_type"),
        (changed(event_time=True), "wrong_type"),
        (changed(success="true"), "wrong_type"),
        (changed(success_score="1"), "wrong_type"),
        (changed(event_data=[]), "wrong_type"),
        (changed(client_id=None), "wrong_type"),
    ],
)
def test_a_record_in_another_form_is_refused_with_a_reason(raw: bytes | None, reason: str) -> None:
    with pytest.raises(MalformedRecord) as caught:
        codec.decode(raw)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nul",
        b'{"a":1,"a":2}',
        b'{"x":{"a":1,"\\u0061":2}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b'{"\\udc00":1}',
        b'{"a":"\xff"}',
        b'"\xc0\xaf"',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 5_000,
        b'{"a":1} x',
        b"{'a':1}",
    ],
)
def test_json_that_could_be_understood_in_two_ways_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedJson):
        loads_strict(raw)


@given(values)
def test_all_other_json_is_read_as_the_standard_parser_reads_it(value: Any) -> None:
    raw = json.dumps(value).encode()
    assert loads_strict(raw) == json.loads(raw)


def test_a_track_call_becomes_an_event_of_its_name() -> None:
    call = {
        "messageId": "m-1",
        "event": "Order Completed",
        "userId": "u-1",
        "anonymousId": "a-1",
        "timestamp": "2026-01-01T00:00:00Z",
        "properties": {"industry": "retail"},
        "context": {"sessionId": "s-9"},
    }
    assert from_segment(call, "track") == {
        "event_id": "m-1",
        "event_type": "Order Completed",
        "session_id": "s-9",
        "user_id": "u-1",
        "timestamp": "2026-01-01T00:00:00Z",
        "event_data": {"industry": "retail"},
    }


def test_other_calls_are_named_after_themselves_and_bring_their_traits() -> None:
    raw = from_segment({"userId": "u", "traits": {"plan": "x"}}, "identify")
    assert (raw["event_type"], raw["event_data"]) == ("segment.identify", {"plan": "x"})


@pytest.mark.parametrize(
    ("call", "session"),
    [
        ({"context": {"sessionId": "c"}, "properties": {"session_id": "p"}}, "c"),
        ({"properties": {"session_id": "p"}, "anonymousId": "a", "userId": "u"}, "p"),
        ({"anonymousId": "a", "userId": "u"}, "a"),
        ({"userId": "u", "context": []}, "u"),
        ({}, None),
    ],
)
def test_the_session_is_found_in_the_agreed_order(call: dict[str, Any], session: str) -> None:
    assert from_segment(call, "page")["session_id"] == session


def test_a_dead_letter_keeps_the_bytes_as_they_were() -> None:
    letter = DeadLetter("t", 3, 9, "not_json", "why", b"\x00\xff", None, None, 5)
    assert DeadLetter.from_bytes(letter.to_bytes()) == letter


def test_a_dead_letter_holds_only_text_that_stores_can_keep() -> None:
    letter = DeadLetter("t", 3, 9, "r", "a\x00\ud800\u00e9", b"\x00", "\udfff", "e\x00", 5)
    assert (letter.detail, letter.client_id, letter.event_id) == (
        "a\\x00\\ud800\u00e9",
        "\\udfff",
        "e\\x00",
    )
    assert DeadLetter.from_bytes(letter.to_bytes()) == letter


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"raw_base64":5}', b'{"raw_base64":"?"}', b"[" * 100_000]
)
def test_what_is_no_dead_letter_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        DeadLetter.from_bytes(raw)
