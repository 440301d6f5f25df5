"""The record of an event: order of keys, what is left out, and what is not believed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.events import codec
from ingestion.events.errors import MalformedRecord
from ingestion.events.event import Event
from ingestion.events.facts import Facts
from tests.support.builders import DAY_MS, event

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
events = st.builds(
    Event,
    event_id=texts.map(lambda text: text[:64]),
    client_id=texts.map(lambda text: text[:50]),
    session_id=texts.map(lambda text: text[:100]),
    user_id=st.none() | texts.map(lambda text: text[:50]),
    event_type=texts.map(lambda text: text[:50]),
    event_time=st.integers(0, codec.TIME_MS_MAX),
    received_at=st.integers(0, codec.TIME_MS_MAX),
    body_hash=st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}"),
    facts=st.builds(
        Facts,
        industry=st.none() | texts.map(lambda text: text[:100]),
        campaign_type=st.none() | texts.map(lambda text: text[:100]),
        success=st.none() | st.booleans(),
        success_score=st.none() | st.integers(0, 1_000_000).map(lambda n: n / 100_000),
    ),
    event_data=st.sampled_from([b"{}", b'{"a":[1,null]}', '{"k":"\u2028\\""}'.encode()]),
)


@given(events)
def test_any_event_survives_the_log_with_any_json_parser(made: Event) -> None:
    record = codec.encode(made)
    assert codec.decode(record) == made
    assert codec.decode(record, msgspec.json.decode) == made


def test_keys_stand_in_the_agreed_order() -> None:
    data = {"success_score": 5, "success": True, "industry": "i", "campaign_type": "c"}
    record = codec.encode(event(user_id="u", data=data))
    assert list(json.loads(record)) == [
        "v",
        "event_id",
        "client_id",
        "session_id",
        "user_id",
        "event_type",
        "event_time",
        "received_at",
        "body_hash",
        "industry",
        "campaign_type",
        "success",
        "success_score",
        "event_data",
    ]


def test_what_is_absent_is_left_out() -> None:
    assert b"null" not in codec.encode(event())
    assert not {"user_id", "industry", "success"} & set(json.loads(codec.encode(event())))


def test_a_heartbeat_has_the_agreed_form() -> None:
    beat = json.loads(codec.heartbeat(3, 99))
    assert beat == {
        "v": 1,
        "event_id": "hb-3-99",
        "client_id": "_system",
        "session_id": "_heartbeat",
        "event_type": "_heartbeat",
        "event_time": 99,
        "received_at": 99,
        "body_hash": "0" * 32,
        "event_data": {},
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"event_time": -1}, "out_of_range"),
        ({"event_time": 2**63}, "out_of_range"),
        ({"received_at": codec.TIME_MS_MAX + 1}, "out_of_range"),
        ({"success_score": 10.5}, "out_of_range"),
        ({"success_score": float("nan")}, "out_of_range"),
        ({"success_score": float("inf")}, "out_of_range"),
        ({"success_score": True}, "wrong_type"),
        ({"success": 1}, "wrong_type"),
        ({"body_hash": "XYZ"}, "out_of_range"),
        ({"body_hash": None}, "wrong_type"),
        ({"session_id": ""}, "out_of_range"),
        ({"session_id": "s" * 101}, "out_of_range"),
        ({"client_id": "c" * 51}, "out_of_range"),
        ({"event_id": ["e"]}, "wrong_type"),
        ({"user_id": 0}, "wrong_type"),
        ({"industry": "x" * 101}, "out_of_range"),
        ({"event_type": "a\x1fb"}, "bad_text"),
        ({"event_type": "a\x1eb"}, "bad_text"),
        ({"session_id": "nul\x00"}, "bad_text"),
        ({"user_id": "\ud800"}, "bad_text"),
        ({"event_data": {"a": "\ud800"}}, "bad_text"),
        ({"event_data": {"a": float("nan")}}, "bad_text"),
        ({"event_data": None}, "wrong_type"),
    ],
)
def test_a_record_that_no_gateway_wrote_is_refused_with_a_reason(
    changes: dict[str, Any], reason: str
) -> None:
    record = {**json.loads(codec.encode(event(user_id="u"))), **changes}
    with pytest.raises(MalformedRecord) as caught:
        codec.decode(json.dumps(record).encode())
    assert caught.value.reason == reason
    assert next(iter(changes)) in caught.value.detail or "out of range" in caught.value.detail


def test_long_labels_and_foreign_scripts_are_as_good_as_any() -> None:
    made = event(event_type="\u8a55\u4fa1", at_ms=DAY_MS, data={"industry": "\u00e9" * 100})
    assert codec.decode(codec.encode(made)) == made


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(sorted(json.loads(codec.encode(event(user_id="u"))))), json_values
    )
)
def test_no_record_provokes_any_other_error(changes: dict[str, Any]) -> None:
    record = {**json.loads(codec.encode(event(user_id="u"))), **changes}
    try:
        made = codec.decode(json.dumps(record).encode())
    except MalformedRecord:
        return
    assert codec.decode(codec.encode(made)) == made
