"""POST /v1/events: what is stored, what is answered, and when."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from infra.http import Response
from tests.support.http import call, problem
from tests.unit.ingestion.gateway.gateway_app import NOW_MS, Gateway, event, lines


def post(gateway: Gateway, body: Any, query: str = "", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = call(gateway.app, "POST", f"/v1/events{query}", body=body, headers=named, key="key")
    return asyncio.run(answer)


def answered(response: Response) -> dict[str, Any]:
    assert response.status == 200, response.body
    content: dict[str, Any] = json.loads(response.body)
    return content


def test_one_event_is_in_the_log_when_the_answer_comes() -> None:
    gateway = Gateway()
    answer = answered(post(gateway, event()))
    assert answer == {
        "success": True,
        "accepted": 1,
        "event_ids": ["e-1"],
        "durability": "kafka",
        "dedupable": True,
    }
    (stored,) = gateway.events
    assert (stored.event_id, stored.client_id, stored.received_at) == ("e-1", "acme", NOW_MS)


def test_the_record_is_keyed_by_session_and_stamped_with_the_receipt() -> None:
    gateway = Gateway()
    post(gateway, event(session_id="s-9", timestamp="2026-11-20T10:00:00Z"))
    (published,) = gateway.producer.published
    assert (published.key, published.timestamp_ms) == (b"s-9", NOW_MS)


def test_an_array_keeps_its_order() -> None:
    gateway = Gateway()
    ids = [f"e-{n}" for n in range(4)]
    assert answered(post(gateway, [event(event_id=i) for i in ids]))["event_ids"] == ids


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/json", ""])
def test_one_event_per_line_is_taken_declared_or_not(content_type: str) -> None:
    gateway = Gateway()
    body = lines(event(event_id="a"), event(event_id="b"))
    answer = answered(post(gateway, body, content_type=content_type))
    assert answer["event_ids"] == ["a", "b"]


def test_gzip_is_taken() -> None:
    gateway = Gateway()
    body = gzip.compress(lines(event(event_id="a"), event(event_id="b")))
    answer = answered(
        post(gateway, body, content_type="application/x-ndjson", content_encoding="gzip")
    )
    assert answer["accepted"] == 2


def test_an_event_without_an_id_gets_one_and_the_answer_says_so() -> None:
    answer = answered(post(Gateway(), [event(), event(event_id=None)]))
    assert answer["event_ids"] == ["e-1", "made-1"]
    assert (answer["dedupable"], answer["made"]) == (False, [1])


def test_one_bad_event_refuses_the_request_and_nothing_is_stored() -> None:
    gateway = Gateway()
    response = post(gateway, [event(), event(event_id="e-2", event_type="_x")])
    told = problem(response)
    assert (response.status, told["code"]) == (400, "invalid_events")
    assert told["message"].startswith("event 1 (e-2): event_type begins with _")
    assert told["errors"][0]["field"] == "event_type"
    assert not gateway.events


def test_with_partial_the_good_events_are_stored_and_each_fate_is_told() -> None:
    gateway = Gateway()
    bad = event(event_id="e-2", session_id=None)
    answer = answered(post(gateway, [event(), bad, event(event_id="e-3")], "?partial=true"))
    assert [fate["result"] for fate in answer["results"]] == ["accepted", "refused", "accepted"]
    assert answer["results"][1]["field"] == "session_id"
    assert answer["event_ids"] == ["e-1", "e-3"]
    assert [stored.event_id for stored in gateway.events] == ["e-1", "e-3"]


def test_with_partial_a_request_of_bad_events_only_is_still_refused() -> None:
    assert post(Gateway(), [event(session_id=None)], "?partial=true").status == 400


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"session_id":"s","event_type":"a","event_type":"b"}', "'event_type' stands twice"),
        ('{"session_id":"s","event_type":"a","event_data":{"x":1,"x":2}}', "'x' stands twice"),
        ('{"session_id":"s","event_type":"a","event_data":{"x":NaN}}', "not finite"),
        ('{"session_id":"s","event_type":"a","event_data":{"x":1e999}}', "not finite"),
        ('{"session_id":"s","event_type":"a","event_data":{"x":"\\ud800"}}', "surrogate"),
        ('{"session_id":"s","event_type":"a","event_data":{"x":"\\u0000"}}', "NUL"),
        ('{"session_id":"s","event_type":"a","event_data":{"x":9223372036854775808}}', "64 bits"),
        ('{"session_id":"s","event_type":"a","client_id":"x"}', "client_id"),
        ('{"session_id":"s","event_type":"a","more":1}', "more"),
        ('{"session_id":"s","event_type":"a","event_id":"a b"}', "event_id"),
        ('{"session_id":"s","event_type":"a","timestamp":"1999-01-01T00:00:00Z"}', "two years"),
        ('{"session_id":"s","event_type":"a","timestamp":"2030-01-01T00:00:00Z"}', "24 hours"),
        ('{"event_type":"a"}', "session_id is missing"),
        ('{"session_id":"s"}', "event_type is missing"),
        ("[1]", "not a JSON object"),
        (
            '{"session_id":"s","event_type":"a","event_data":' + '{"x":' * 40 + "1" + "}" * 41,
            "deep",
        ),
    ],
)
def test_a_bad_event_is_named_by_its_place_and_the_reason_is_told(bad: str, said: str) -> None:
    gateway = Gateway()
    good = json.dumps(event())
    response = post(gateway, f"[{good},{bad}]".encode())
    told = problem(response)
    assert response.status == 400
    assert told["errors"][0]["index"] == 1
    assert said in told["message"]
    assert not gateway.events


@pytest.mark.parametrize("body", [b"{", b'[{"a":1},', b"\xff\xfe", b"nonsense", b"[" * 100_000])
def test_a_body_that_is_not_json_is_400(body: bytes) -> None:
    response = post(Gateway(), body)
    assert (response.status, problem(response)["code"]) == (400, "malformed_json")


def test_broken_json_is_told_with_its_position() -> None:
    assert problem(post(Gateway(), b'{"session_id": x}'))["position"] == 15


@pytest.mark.parametrize("body", [b"[]", b"\n\n"])
def test_a_request_without_events_is_400(body: bytes) -> None:
    response = post(
        Gateway(), body, content_type="application/x-ndjson" if body[:1] == b"\n" else ""
    )
    assert response.status == 400


def test_too_many_events_are_413() -> None:
    gateway = Gateway()
    assert post(gateway, [event(event_id=f"e{n}") for n in range(6)]).status == 413
    assert not gateway.events


def test_events_that_the_log_does_not_confirm_are_503_with_retry_after() -> None:
    gateway = Gateway()
    gateway.producer.failure = "Local: Message timed out"
    response = post(gateway, event())
    assert response.status == 503
    assert dict(response.headers)["Retry-After"] == "2"
    assert problem(response)["success"] is False


def test_ids_made_here_are_told_with_a_503_so_that_a_retry_can_use_them() -> None:
    gateway = Gateway()
    gateway.producer.full = True
    assert problem(post(gateway, event(event_id=None)))["event_ids"] == ["made-1"]


def test_ack_accepted_answers_before_the_log_confirms_and_says_so() -> None:
    gateway = Gateway()
    gateway.producer.hold = True
    assert answered(post(gateway, event(), "?ack=accepted"))["durability"] == "none"


def test_no_answer_comes_before_the_log_confirms() -> None:
    async def scenario() -> int:
        gateway = Gateway()
        gateway.producer.hold = True
        request = asyncio.create_task(
            call(gateway.app, "POST", "/v1/events", body=event(), key="key")
        )
        while not gateway.producer.outstanding:
            await asyncio.sleep(0)
        assert not request.done()
        gateway.producer.release()
        return (await request).status

    assert asyncio.run(scenario()) == 200


@pytest.mark.parametrize("query", ["?ack=maybe", "?partial=2"])
def test_a_query_that_is_not_understood_is_400(query: str) -> None:
    assert post(Gateway(), event(), query).status == 400


def test_a_key_is_needed() -> None:
    gateway = Gateway()
    assert asyncio.run(call(gateway.app, "POST", "/v1/events", body=event())).status == 401
    assert not gateway.events
