"""`/v1/openapi.json`, made from the routes themselves, and `/docs`, a page to read it on."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from infra.http import Request, Response, Route, json_response, openapi
from serving.docs_page import CONTENT_SECURITY_POLICY, render
from serving.questions import SOMETHING_ASKED, MatchRequest

_TITLE = "Sagestream serving"
_DESCRIPTION = "Which behaviour leads to success, with the evidence."
_PATTERN_HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def with_contract(routes: Sequence[Route]) -> tuple[Route, ...]:
    """The same routes, and the two that describe all of them."""
    encoded: dict[str, Response] = {}

    async def document(_request: Request) -> Response:
        return encoded["document"]

    async def page(_request: Request) -> Response:
        return encoded["page"]

    everything = (
        *routes,
        Route(
            method="GET",
            path="/v1/openapi.json",
            handler=document,
            scope=None,
            summary="This contract as OpenAPI 3.1",
            response=dict[str, Any],
        ),
        Route(
            method="GET",
            path="/docs",
            handler=page,
            scope=None,
            summary="This contract as a page",
        ),
    )
    described = describe(everything)
    encoded["document"] = json_response(described)
    encoded["page"] = Response(
        200,
        render(described).encode(),
        "text/html; charset=utf-8",
        (
            ("content-security-policy", CONTENT_SECURITY_POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ),
    )
    return everything


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI document, with what routes answer beyond the kit's general rules."""
    document: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode(
            openapi(routes, title=_TITLE, version=version("sagestream"), description=_DESCRIPTION)
        )
    )
    document["components"]["schemas"][MatchRequest.__name__]["anyOf"] = list(SOMETHING_ASKED)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            answers = operation["responses"]
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "pattern_hash":
                    parameter["schema"] = _PATTERN_HASH
                    answers.setdefault("400", dict(answers["404"], description="not a hash"))
            if path == "/ready":
                answers["503"] = dict(answers["200"], description="names what is missing")
    return document
