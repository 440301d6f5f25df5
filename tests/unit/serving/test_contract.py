"""The OpenAPI document and its page are true and safe."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, cast

import jsonschema_rs
import pytest

from infra.clock import ManualClock
from infra.http import Route
from serving.docs_page import CONTENT_SECURITY_POLICY, render
from serving.read_path import ReadPath
from serving.routes import operations, patterns
from serving.routes.contract import describe, with_contract


async def _well() -> str | None:
    return None


@pytest.fixture(scope="module")
def routes() -> tuple[Route, ...]:
    read_path = cast(ReadPath, None)
    return with_contract(
        (*patterns.routes(read_path, ManualClock()), *operations.routes({"postgres": _well}))
    )


@pytest.fixture(scope="module")
def document(routes: tuple[Route, ...]) -> dict[str, Any]:
    return describe(routes)


def test_every_route_is_in_the_document(
    routes: tuple[Route, ...], document: dict[str, Any]
) -> None:
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    assert described == {(route.method, route.path) for route in routes}


def test_every_schema_is_a_valid_schema(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(document["components"]["schemas"])
    for reference in re.findall(r"#/components/schemas/(\w+)", str(document)):
        assert reference in names


def test_routes_with_a_key_say_so_and_public_ones_too(
    routes: tuple[Route, ...], document: dict[str, Any]
) -> None:
    for route in routes:
        operation = document["paths"][route.path][route.method.lower()]
        assert bool(operation["security"]) == (route.scope is not None)


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [op["operationId"] for item in document["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids))


def test_the_page_names_every_route(routes: tuple[Route, ...], document: dict[str, Any]) -> None:
    page = render(document)
    for route in routes:
        assert f"<code>{route.path}</code>" in page


def test_the_page_loads_nothing_and_runs_nothing(document: dict[str, Any]) -> None:
    page = render(document)
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
    assert not re.search(r"\son\w+=", page)


def test_the_policy_allows_exactly_the_page_s_own_style(document: dict[str, Any]) -> None:
    style = re.search(r"<style>(.*)</style>", render(document), re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in CONTENT_SECURITY_POLICY


def test_markup_in_a_text_stays_text(document: dict[str, Any]) -> None:
    page = render(document | {"info": {**document["info"], "title": "<img src=x>"}})
    assert "<img" not in page
