"""Which route a path finds, and which routes cannot be built."""

from __future__ import annotations

from typing import Any

import pytest

from infra.http import Request, Response, Route
from infra.http.routing import Router


async def handler(_request: Request) -> Response:
    return Response(200)


def route(path: str, method: str = "GET", **more: Any) -> Route:
    return Route(method=method, path=path, handler=handler, **{"scope": None, **more})


def found(routes: list[Route], path: str) -> tuple[str, dict[str, str]] | None:
    hit = Router(routes).find(path)
    return None if hit is None else (hit[0].path, hit[1])


def test_a_route_without_a_stated_scope_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="state a scope"):
        Route(method="GET", path="/x", handler=handler)


def test_an_unknown_scope_cannot_be_stated() -> None:
    with pytest.raises(ValueError, match="unknown scope"):
        route("/x", scope="write")


def test_the_same_method_and_path_cannot_be_routed_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        Router([route("/x"), route("/x")])


def test_a_parameter_takes_one_segment() -> None:
    routes = [route("/v1/patterns/{pattern_hash}")]
    assert found(routes, "/v1/patterns/ab12") == (
        "/v1/patterns/{pattern_hash}",
        {"pattern_hash": "ab12"},
    )
    assert found(routes, "/v1/patterns/a/b") is None
    assert found(routes, "/v1/patterns/") is None


def test_a_verb_after_a_colon_is_not_part_of_the_parameter() -> None:
    routes = [route("/v1/models/{name}"), route("/v1/models/{name}:predict", "POST")]
    assert found(routes, "/v1/models/m:predict") == ("/v1/models/{name}:predict", {"name": "m"})
    assert found(routes, "/v1/models/m") == ("/v1/models/{name}", {"name": "m"})


def test_a_fixed_path_comes_before_a_template() -> None:
    routes = [route("/v1/{kind}"), route("/v1/batch")]
    assert found(routes, "/v1/batch") == ("/v1/batch", {})


def test_dots_in_a_path_are_literal() -> None:
    assert found([route("/openapi.json")], "/openapiXjson") is None


def test_a_get_route_answers_head() -> None:
    hit = Router([route("/x")]).find("/x")
    assert hit is not None
    assert set(hit[0].methods) == {"GET", "HEAD"}
