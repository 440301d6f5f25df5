"""The OpenAPI page says what the routes do."""

from __future__ import annotations

import msgspec
import pytest

from infra.http import Request, Response, Route, openapi


class Wish(msgspec.Struct):
    k: int


class Answer(msgspec.Struct):
    found: list[str]


class Filter(msgspec.Struct):
    limit: int = 10


async def handler(_request: Request) -> Response:
    return Response(200)


@pytest.fixture(scope="module")
def page() -> dict[str, object]:
    routes = [
        Route(
            method="POST",
            path="/v1/match",
            handler=handler,
            scope="read",
            request=Wish,
            response=Answer,
            query=Filter,
        ),
        Route(method="GET", path="/v1/items/{item_id}", handler=handler, scope=None),
    ]
    return openapi(routes, title="T", version="1")


def operation(page: dict, path: str, method: str) -> dict:
    return page["paths"][path][method]


def test_bodies_refer_to_their_schemas(page: dict) -> None:
    match = operation(page, "/v1/match", "post")
    sent = match["requestBody"]["content"]["application/json"]["schema"]
    answered = match["responses"]["200"]["content"]["application/json"]["schema"]
    assert sent == {"$ref": "#/components/schemas/Wish"}
    assert answered == {"$ref": "#/components/schemas/Answer"}
    assert {"Wish", "Answer", "Problem"} <= set(page["components"]["schemas"])


def test_path_and_query_parameters_are_listed(page: dict) -> None:
    (item_id,) = operation(page, "/v1/items/{item_id}", "get")["parameters"]
    (limit,) = operation(page, "/v1/match", "post")["parameters"]
    assert (item_id["name"], item_id["in"], item_id["required"]) == ("item_id", "path", True)
    assert (limit["name"], limit["in"], limit["required"]) == ("limit", "query", False)


def test_only_scoped_routes_ask_for_a_key(page: dict) -> None:
    match = operation(page, "/v1/match", "post")
    item = operation(page, "/v1/items/{item_id}", "get")
    assert match["security"]
    assert not item["security"]
    assert {"401", "403"} <= set(match["responses"])
    assert "401" not in item["responses"]
