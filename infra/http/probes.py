"""`/health`, `/ready`, `/metrics` and the OpenAPI page: public, for operators' tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from infra.http import Request, Response, Route, json_response, openapi

# Name → trouble or None.
Checks = Callable[[], dict[str, str | None]]
_ALIVE = b'{"alive":true}'


def probe_routes(required: Checks, degraded: Checks) -> list[Route]:
    """`required` decides about readiness; `degraded` is only told."""

    async def health(_request: Request) -> Response:
        return Response(200, _ALIVE)

    async def ready(_request: Request) -> Response:
        troubles = {name: trouble for name, trouble in required().items() if trouble}
        told = {name: trouble for name, trouble in degraded().items() if trouble}
        body = {"ready": not troubles, "degraded": troubles | told}
        return json_response(body, 200 if not troubles else 503)

    async def metrics(_request: Request) -> Response:
        return Response(200, generate_latest(), CONTENT_TYPE_LATEST)

    return [
        Route(method="GET", path="/health", handler=health, scope=None, summary="Alive"),
        Route(method="GET", path="/ready", handler=ready, scope=None, summary="Ready for traffic"),
        Route(method="GET", path="/metrics", handler=metrics, scope=None, summary="Prometheus"),
    ]


def openapi_route(routes: Sequence[Route], *, title: str, version: str) -> Route:
    page = json_response(openapi(routes, title=title, version=version))

    async def handler(_request: Request) -> Response:
        return page

    return Route(
        method="GET", path="/openapi.json", handler=handler, scope=None, summary="This page"
    )
