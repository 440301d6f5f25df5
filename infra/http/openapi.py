"""An OpenAPI 3.1 page made from the routes and their msgspec types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from infra.http.errors import PROBLEM_JSON
from infra.http.response import JSON
from infra.http.routing import Route

_REFERENCE = "#/components/schemas/{name}"
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key"},
    "basic": {"type": "http", "scheme": "basic", "description": "an API key as the user name"},
}


class Problem(msgspec.Struct):
    """RFC 9457 problem document, with the keys that analytics SDKs read."""

    type: str
    title: str
    status: int
    success: bool
    code: str
    message: str
    detail: str
    request_id: str


def openapi(
    routes: Iterable[Route], *, title: str, version: str, description: str = ""
) -> dict[str, Any]:
    """The document as plain data, ready for `json_response`."""
    routes = tuple(routes)
    types = [Problem, *(t for r in routes for t in (r.request, r.response) if t is not None)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    by_type = {id(t): schema for t, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": description},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


def _operation(route: Route, by_type: dict[int, dict[str, Any]]) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": {"description": "success"}}
    if route.response is not None:
        answers["200"]["content"] = {JSON: {"schema": by_type[id(route.response)]}}
    problem = {PROBLEM_JSON: {"schema": _REFERENCE_TO_PROBLEM}}
    answers |= {
        status: {"description": meaning, "content": problem}
        for status, meaning in _problems(route).items()
    }
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "responses": answers,
    }
    if route.description:
        operation["description"] = route.description
    parameters = [_path_parameter(name) for name in route.parameters] + _query_parameters(route)
    if parameters:
        operation["parameters"] = parameters
    if route.request is not None:
        schema = by_type[id(route.request)]
        content = {content_type: {"schema": schema} for content_type in route.content_types}
        operation["requestBody"] = {"required": True, "content": content or {JSON: schema}}
    operation["security"] = [{"bearer": []}, {"basic": []}] if route.scope else []
    return operation


_REFERENCE_TO_PROBLEM = {"$ref": _REFERENCE.format(name="Problem")}


def _problems(route: Route) -> dict[str, str]:
    problems = {}
    if route.has_body or route.query is not None:
        problems["400"] = "the request is wrong; names the field"
    if route.scope is not None:
        problems |= {
            "401": "no valid API key",
            "403": f"the API key lacks the scope `{route.scope}`",
        }
    if route.parameters:
        problems["404"] = "not found"
    if route.has_body:
        problems |= {
            "408": "the body came too slowly",
            "413": "the body is too large",
            "415": "content type or encoding not understood",
        }
    if route.scope is not None:
        problems["503"] = "try again after `Retry-After` seconds"
    return problems


def _operation_id(route: Route) -> str:
    words = [w.strip("{}") for w in route.path.replace(":", "/").strip("/").split("/")]
    return (
        "_".join([route.method.lower(), *words]).replace("-", "_").replace("{", "").replace("}", "")
    )


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = msgspec.json.schema(route.query)
    definition = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    required = set(definition.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in definition["properties"].items()
    ]
