"""`/health`, `/ready` and `/metrics`: public, and cheap enough to be probed every second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from infra.http import Request, Response, Route, json_response
from serving.answers import Health, Ready

Trouble = Callable[[], Awaitable[str | None]]


def routes(parts: dict[str, Trouble]) -> Sequence[Route]:
    """`parts` maps what the process depends on to a check: None when well, else the trouble."""

    async def health(_request: Request) -> Response:
        return json_response(Health(alive=True))

    async def ready(_request: Request) -> Response:
        degraded = {}
        for name, check in parts.items():
            trouble = await check()
            if trouble is not None:
                degraded[name] = trouble
        return json_response(Ready(not degraded, degraded), 503 if degraded else 200)

    async def metrics(_request: Request) -> Response:
        return Response(200, generate_latest(), CONTENT_TYPE_LATEST)

    return (
        Route(
            method="GET",
            path="/health",
            handler=health,
            scope=None,
            summary="Whether the process runs",
            response=Health,
        ),
        Route(
            method="GET",
            path="/ready",
            handler=ready,
            scope=None,
            summary="Whether questions can be answered",
            description="200 when ready, else 503 with the same body naming what is missing.",
            response=Ready,
        ),
        Route(
            method="GET",
            path="/metrics",
            handler=metrics,
            scope=None,
            summary="Metrics in Prometheus' text format",
        ),
    )
