"""The life of a request: who gets in, what is refused, and what every error looks like."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Coroutine, Iterable
from typing import Any

import msgspec
import pytest

from infra.errors import RejectedInput, RetryLater
from infra.http import App, HttpError, Limits, Principal, Request, Response, Route, json_response
from tests.support.http import BodyOf, call, problem

READER = Principal("acme", "k1", frozenset(("read",)))
WRITER = Principal("acme", "k2", frozenset(("ingest",)))


class Keys:
    async def authenticate(self, secret: str) -> Principal | None:
        if secret == "away":
            raise RetryLater("keys cannot be checked", remedy="wait")
        return {"reader": READER, "writer": WRITER}.get(secret)


class Sum(msgspec.Struct):
    a: int
    b: int = 0


class Page(msgspec.Struct):
    size: int = 10


async def add(request: Request) -> Response:
    numbers = request.body_as(Sum)
    return json_response({"sum": numbers.a + numbers.b, "tenant": request.tenant})


async def echo(request: Request) -> Response:
    return Response(200, request.body, "application/octet-stream")


async def page(request: Request) -> Response:
    return json_response(request.query_as(Page).size)


def raising(error: Exception) -> Any:
    async def handler(_request: Request) -> Response:
        raise error

    return handler


def app(*more: Route, **limits: Any) -> App:
    return App(
        [
            Route(method="POST", path="/v1/add", handler=add, scope="read"),
            Route(method="POST", path="/echo", handler=echo, scope=None, content_types=()),
            Route(method="GET", path="/page", handler=page, scope=None, query=Page),
            *more,
        ],
        process="test",
        authenticator=Keys(),
        limits=Limits(**{"body_bytes_max": 1000, **limits}),
    )


def run(answer: Coroutine[Any, Any, Response]) -> Response:
    return asyncio.run(answer)


def test_a_good_request_reaches_its_handler_with_its_tenant() -> None:
    response = run(call(app(), "POST", "/v1/add", body={"a": 1, "b": 2}, key="reader"))
    assert response.status == 200
    assert json.loads(response.body) == {"sum": 3, "tenant": "acme"}


def test_a_scoped_route_needs_an_authenticator() -> None:
    with pytest.raises(ValueError, match="authenticator"):
        App([Route(method="GET", path="/x", handler=page, scope="read")], process="test")


@pytest.mark.parametrize("key", [None, "wrong", ""])
def test_missing_and_wrong_keys_get_the_same_401(key: str | None) -> None:
    response = run(call(app(), "POST", "/v1/add", body={"a": 1}, key=key))
    told = problem(response)
    assert (response.status, told["code"]) == (401, "unauthorized")
    assert told["message"] == "This request needs a valid API key."


def test_a_key_without_the_scope_gets_403() -> None:
    response = run(call(app(), "POST", "/v1/add", body={"a": 1}, key="writer"))
    assert (response.status, problem(response)["code"]) == (403, "forbidden")


def test_a_key_can_come_as_the_user_name_of_basic() -> None:
    headers = {"authorization": "Basic cmVhZGVyOg=="}
    assert run(call(app(), "POST", "/v1/add", body={"a": 1}, headers=headers)).status == 200


@pytest.mark.parametrize("value", ["Basic !!", "Basic /////w==", "Digest x", "Bearer", "reader"])
def test_an_unreadable_authorization_header_is_401(value: str) -> None:
    headers = {"authorization": value}
    assert run(call(app(), "POST", "/v1/add", body={"a": 1}, headers=headers)).status == 401


def test_a_bad_key_is_refused_before_the_body_is_read() -> None:
    body = BodyOf(b"{}")
    request = Request("POST", "/v1/add", "", {"content-length": "2"})
    assert run(app().respond(request, body)).status == 401
    assert body.read_bytes == 0


def test_a_key_that_cannot_be_checked_is_503_with_retry_after() -> None:
    response = run(call(app(), "POST", "/v1/add", body={"a": 1}, key="away"))
    assert response.status == 503
    assert dict(response.headers)["Retry-After"] == "1"


def test_a_key_in_the_body_is_found_when_no_header_is_sent() -> None:
    route = Route(
        method="POST",
        path="/in-body",
        handler=add,
        scope="read",
        body_key=lambda request: str(json.loads(request.body).get("key")),
    )
    good = run(call(app(route), "POST", "/in-body", body={"a": 1, "key": "reader"}))
    bad = run(call(app(route), "POST", "/in-body", body={"a": 1, "key": "no"}))
    assert (good.status, bad.status) == (200, 401)


def test_an_unknown_path_is_404_and_a_wrong_method_405_with_allow() -> None:
    assert run(call(app(), "GET", "/nowhere")).status == 404
    response = run(call(app(), "PUT", "/page"))
    assert response.status == 405
    assert dict(response.headers)["Allow"] == "GET, HEAD"


def test_a_declared_body_over_the_limit_is_413_unread() -> None:
    body = BodyOf(b"x" * 1001)
    request = Request("POST", "/echo", "", {"content-length": "1001"})
    assert run(app().respond(request, body)).status == 413
    assert body.read_bytes == 0


def test_a_body_without_a_length_is_cut_off_at_the_limit() -> None:
    body = BodyOf(b"x" * 1_000_000, chunk_bytes=100)
    response = run(app().respond(Request("POST", "/echo", "", {}), body))
    assert response.status == 413
    assert body.read_bytes == 1100


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    assert run(call(app(), "POST", "/echo", body=b"x" * 1000)).status == 200


@pytest.mark.parametrize("length", ["-1", "x", "1_0", "٣"])
def test_a_content_length_that_is_no_number_is_400(length: str) -> None:
    headers = {"content-length": length}
    assert run(call(app(), "POST", "/echo", body=b"abc", headers=headers)).status == 400


def test_gzip_is_undone() -> None:
    headers = {"content-encoding": "gzip"}
    response = run(call(app(), "POST", "/echo", body=gzip.compress(b"abc"), headers=headers))
    assert response.body == b"abc"


def test_a_body_that_unpacks_beyond_the_limit_is_413() -> None:
    headers = {"content-encoding": "gzip"}
    bomb = gzip.compress(b"\0" * 200_000)
    assert run(call(app(), "POST", "/echo", body=bomb, headers=headers)).status == 413


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"abc")[:-3], b"\x1f\x8b"])
def test_broken_gzip_is_400(body: bytes) -> None:
    headers = {"content-encoding": "gzip"}
    response = run(call(app(), "POST", "/echo", body=body, headers=headers))
    assert (response.status, problem(response)["code"]) == (400, "broken_gzip")


@pytest.mark.parametrize("encoding", ["deflate", "br", "gzip, gzip"])
def test_other_encodings_are_415_and_say_what_is_taken(encoding: str) -> None:
    response = run(call(app(), "POST", "/echo", headers={"content-encoding": encoding}))
    assert response.status == 415
    assert dict(response.headers)["Accept-Encoding"] == "gzip"


def test_another_content_type_is_415_and_a_charset_is_fine() -> None:
    def send(content_type: str) -> int:
        headers = {"content-type": content_type}
        return run(
            call(app(), "POST", "/v1/add", body=b'{"a":1}', headers=headers, key="reader")
        ).status

    assert send("text/xml") == 415
    assert send("application/json; charset=utf-8") == 200


def test_a_wrong_field_is_400_naming_it() -> None:
    response = run(call(app(), "POST", "/v1/add", body={"a": "one"}, key="reader"))
    assert response.status == 400
    assert "$.a" in problem(response)["message"]


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":1}x', b'"\xff"', b"[" * 100_000])
def test_broken_json_is_400(body: bytes) -> None:
    response = run(call(app(body_bytes_max=200_000), "POST", "/v1/add", body=body, key="reader"))
    assert response.status == 400


@pytest.mark.parametrize("query", ["size=x", "size=1&size=2", "size=%ff"])
def test_a_wrong_query_is_400(query: str) -> None:
    response = run(call(app(), "GET", f"/page?{query}"))
    assert (response.status, problem(response)["code"]) == (400, "invalid_query")


def test_a_query_parameter_becomes_its_type() -> None:
    assert run(call(app(), "GET", "/page?size=3")).body == b"3"


def test_every_error_has_the_keys_that_sdks_read() -> None:
    response = run(call(app(), "GET", "/nowhere"))
    assert response.content_type == "application/problem+json"
    assert {"type", "title", "status", "success", "code", "message", "detail", "request_id"} <= set(
        problem(response)
    )
    assert problem(response)["success"] is False


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RetryLater("away", remedy="wait"), 503),
        (RejectedInput("bad", remedy="mend"), 400),
        (HttpError(429, "slow_down", "slow down"), 429),
        (ValueError("secret detail"), 500),
    ],
)
def test_what_a_handler_raises_becomes_a_problem(error: Exception, status: int) -> None:
    route = Route(method="GET", path="/raise", handler=raising(error), scope=None)
    response = run(call(app(route), "GET", "/raise"))
    assert response.status == status
    assert b"secret" not in response.body


def test_a_given_request_id_is_kept_and_a_hostile_one_replaced() -> None:
    def request_id(given: str) -> str:
        response = run(call(app(), "GET", "/nowhere", headers={"x-request-id": given}))
        return str(problem(response)["request_id"])

    assert request_id("abc-123") == "abc-123"
    assert request_id("a\r\nb") != "a\r\nb"
    assert len(request_id("x" * 65)) < 65


def test_bodies_in_flight_are_bounded_together() -> None:
    entered = asyncio.Event()
    leave = asyncio.Event()

    async def hold(_request: Request) -> Response:
        entered.set()
        await leave.wait()
        return Response(200)

    async def scenario() -> Iterable[int]:
        route = Route(method="POST", path="/hold", handler=hold, scope=None, content_types=())
        tested = app(route, inflight_bytes_max=1500)
        first = asyncio.create_task(call(tested, "POST", "/hold", body=b"x" * 800))
        await entered.wait()
        second = await call(tested, "POST", "/hold", body=b"x" * 800)
        leave.set()
        statuses = [(await first).status, second.status]
        third = await call(tested, "POST", "/hold", body=b"x" * 800)
        return *statuses, third.status

    assert asyncio.run(scenario()) == (200, 503, 200)


def test_a_body_that_does_not_arrive_in_time_is_408() -> None:
    class Stuck(BodyOf):
        async def __call__(self) -> bytes:
            await asyncio.Event().wait()
            return b""

    request = Request("POST", "/echo", "", {"content-length": "3"})
    response = run(app(body_read_timeout_s=0.01).respond(request, Stuck(b"")))
    assert response.status == 408
