"""Segment's and RudderStack's calls become events that the door accepts."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.events.admission import admit
from ingestion.events.errors import RejectedEvent
from ingestion.events.segment import KINDS, from_segment, sent_as

NOW = 1_795_400_000_000


def accepted(call: dict[str, Any], kind: str) -> Any:
    return admit(
        from_segment(call, kind), client_id="c", received_at=NOW, new_id=lambda: "made"
    ).event


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_call_is_an_event(kind: str) -> None:
    call = {"type": kind, "event": "Signed Up", "userId": "u", "sentAt": "x", "integrations": {}}
    event = accepted(call, kind)
    assert event.event_type == ("Signed Up" if kind == "track" else f"segment.{kind}")
    assert (event.session_id, event.user_id) == ("u", "u")


@pytest.mark.parametrize("kind", ["track", "page", "screen"])
def test_properties_are_the_data(kind: str) -> None:
    assert from_segment({"properties": {"a": 1}}, kind)["event_data"] == {"a": 1}


def test_traits_are_found_in_the_context_of_an_identify_call_only() -> None:
    call = {"context": {"traits": {"plan": "pro"}}}
    assert from_segment(call, "identify")["event_data"] == {"plan": "pro"}
    assert "event_data" not in from_segment(call, "track")


@pytest.mark.parametrize(
    ("kind", "call", "data"),
    [
        ("page", {"name": "Home", "category": "Docs"}, {"name": "Home", "category": "Docs"}),
        ("page", {"name": "Home", "properties": {"name": "Own"}}, {"name": "Own"}),
        ("screen", {"name": "Main", "category": ""}, {"name": "Main"}),
        ("group", {"groupId": "g", "traits": {"a": 1}}, {"groupId": "g", "a": 1}),
        ("alias", {"previousId": "old"}, {"previousId": "old"}),
    ],
)
def test_what_a_call_says_beside_its_properties_is_kept(
    kind: str, call: dict[str, Any], data: dict[str, Any]
) -> None:
    assert from_segment(call, kind)["event_data"] == data


def test_a_numeric_session_id_is_unique_for_one_person_only() -> None:
    """RudderStack's is the second at which the session began."""
    context = {"sessionId": 1_795_000_000}
    assert from_segment({"anonymousId": "a", "context": context}, "track")["session_id"] == (
        "a:1795000000"
    )
    assert from_segment({"userId": 7, "context": context}, "track")["session_id"] == "7:1795000000"
    assert from_segment({"context": context}, "track")["session_id"] == "1795000000"


def test_numeric_ids_of_people_become_text() -> None:
    assert from_segment({"userId": 7}, "track") == {
        "event_type": None,
        "session_id": "7",
        "user_id": "7",
    }


def test_an_empty_user_id_is_no_user_id() -> None:
    assert "user_id" not in from_segment({"userId": "", "anonymousId": "a"}, "track")


def test_the_original_timestamp_stands_in_for_the_timestamp() -> None:
    assert accepted({"event": "x", "userId": "u", "originalTimestamp": "2026-11-20T10:00:00Z"},
                    "track").event_time == 1_795_168_800_000  # fmt: skip
    both = {"timestamp": "2026-11-20T10:00:01Z", "originalTimestamp": "2026-11-20T10:00:00Z"}
    assert from_segment(both, "track")["timestamp"] == "2026-11-20T10:00:01Z"


@pytest.mark.parametrize(
    ("call", "field", "told"),
    [
        ({"userId": "u"}, "event_type", "event"),
        ({"event": "x"}, "session_id", "context.sessionId"),
        ({"event": "x", "userId": "u", "messageId": "a b"}, "event_id", "messageId"),
        ({"event": "x", "userId": {}}, "session_id", "context.sessionId"),
        ({"event": "x", "userId": [1], "anonymousId": "a"}, "user_id", "userId"),
        ({"event": "x", "userId": "u", "properties": [1]}, "event_data", "properties"),
        ({"event": "x", "userId": "u", "properties": {"a": 2**64}}, "event_data.a", "properties.a"),
        ({"event": "x", "userId": "u", "timestamp": "soon"}, "timestamp", "timestamp"),
    ],
)
def test_a_refusal_can_be_told_in_the_words_of_the_sender(
    call: dict[str, Any], field: str, told: str
) -> None:
    with pytest.raises(RejectedEvent) as caught:
        accepted(call, "track")
    assert caught.value.field == field
    assert sent_as(field, "track") == told
