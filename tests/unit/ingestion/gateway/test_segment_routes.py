"""Segment's calls, as its SDKs send them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from infra.http import Response
from tests.support.http import call, problem
from tests.unit.ingestion.gateway.gateway_app import Gateway

TRACK = {
    "type": "track",
    "event": "Order Completed",
    "userId": "u-1",
    "anonymousId": "anon-1",
    "messageId": "m-1",
    "timestamp": "2026-11-20T10:00:00.000Z",
    "context": {"sessionId": "s-7", "library": {"name": "x"}},
    "properties": {"industry": "retail", "success": True},
}


def post(gateway: Gateway, path: str, body: Any, key: str | None = "key") -> Response:
    return asyncio.run(call(gateway.app, "POST", path, body=body, key=key))


def answered(response: Response) -> dict[str, Any]:
    assert response.status == 200, response.body
    content: dict[str, Any] = json.loads(response.body)
    return content


def test_a_track_call_becomes_an_event() -> None:
    gateway = Gateway()
    answer = answered(post(gateway, "/v1/track", TRACK))
    assert answer == {"success": True, "accepted": 1, "dead_lettered": 0, "durability": "kafka"}
    (stored,) = gateway.events
    assert (stored.event_id, stored.event_type, stored.session_id) == (
        "m-1",
        "Order Completed",
        "s-7",
    )
    assert stored.facts.industry == "retail"


@pytest.mark.parametrize("kind", ["identify", "page", "screen", "group", "alias"])
def test_any_other_call_is_named_after_its_kind(kind: str) -> None:
    gateway = Gateway()
    post(gateway, f"/v1/{kind}", {"userId": "u-1", "messageId": "m-1"})
    assert gateway.events[0].event_type == f"segment.{kind}"


def test_the_write_key_can_come_in_the_body() -> None:
    gateway = Gateway()
    assert post(gateway, "/v1/track", {**TRACK, "writeKey": "key"}, None).status == 200
    assert post(gateway, "/v1/track", {**TRACK, "writeKey": "wrong"}, None).status == 401
    assert post(gateway, "/v1/track", TRACK, None).status == 401
    assert len(gateway.events) == 1


def test_a_batch_shares_its_context_with_its_calls() -> None:
    gateway = Gateway()
    calls = [
        {"type": "track", "event": "A", "userId": "u", "messageId": "m-1"},
        {"type": "page", "userId": "u", "messageId": "m-2", "context": {"sessionId": "own"}},
    ]
    post(gateway, "/v1/batch", {"batch": calls, "context": {"sessionId": "shared"}})
    assert [stored.session_id for stored in gateway.events] == ["shared", "own"]


def test_a_call_that_is_no_event_is_kept_as_a_dead_letter_and_the_others_stored() -> None:
    gateway = Gateway()
    calls: list[Any] = [
        {"type": "track", "event": "A", "userId": "u", "messageId": "m-1"},
        {"type": "track", "event": "", "userId": "u", "messageId": "m-2"},
        {"type": "hover", "userId": "u", "messageId": "m-3"},
        17,
    ]
    answer = answered(post(gateway, "/v1/batch", {"batch": calls}))
    assert (answer["accepted"], answer["dead_lettered"]) == (1, 3)
    first, second, third = gateway.dead_letters
    assert (first.client_id, first.event_id, first.topic) == ("acme", "m-2", "http:/v1/batch")
    assert json.loads(first.raw) == calls[1]
    assert "event_type" in first.detail
    assert "type" in second.detail
    assert third.raw == b"17"


def test_the_same_refused_call_sent_again_makes_the_same_letter() -> None:
    gateway = Gateway()
    for _ in range(2):
        post(gateway, "/v1/track", {"userId": "u"})
    first, second = gateway.dead_letters
    assert (first.topic, first.partition, first.offset) == (
        second.topic,
        second.partition,
        second.offset,
    )


def test_dead_letters_too_have_to_be_in_the_log_before_the_answer() -> None:
    gateway = Gateway()
    gateway.producer.failure = "away"
    assert post(gateway, "/v1/track", {"userId": "u"}).status == 503


@pytest.mark.parametrize("body", [b"{", b"[1]", b"", b'{"a":1,"a":2}'])
def test_a_body_that_is_no_call_is_400_with_code_and_message(body: bytes) -> None:
    told = problem(post(Gateway(), "/v1/track", body))
    assert told["status"] == 400
    assert told["code"]
    assert told["message"]


def test_a_batch_without_a_list_is_400() -> None:
    assert post(Gateway(), "/v1/batch", {"batch": {}}).status == 400


def test_too_many_calls_are_413() -> None:
    assert post(Gateway(), "/v1/batch", {"batch": [TRACK] * 6}).status == 413
