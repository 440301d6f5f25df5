"""From a raw request to an answer: route, authenticate, read, handle, count."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from infra import log
from infra.clock import Clock, SystemClock
from infra.errors import RejectedInput, RetryLater, SagestreamError
from infra.http import errors
from infra.http.auth import Authenticator, key_of
from infra.http.body import BodySource, Deadlines, declared_length, read_body, unpack
from infra.http.errors import ClientGone, HttpError
from infra.http.observe import RouteMetrics
from infra.http.request import Headers, Request
from infra.http.response import Response
from infra.http.routing import Route, Router, Template

Lifespan = Callable[[], AbstractAsyncContextManager[None]]

_REQUEST_ID_CHARACTERS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-"
)
_REQUEST_ID_LENGTH_MAX = 64
# Seen by nobody but the metrics: the client hung up before its request was whole.
_CLIENT_GONE = 499


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one process takes on at a time.

    `inflight_bytes_max` bounds the bodies of all requests being read and handled together, so
    memory stays flat whatever the number of connections.
    """

    body_bytes_max: int = 1_048_576
    inflight_bytes_max: int = 268_435_456
    body_read_timeout_s: float = 30.0
    path_bytes_max: int = 4_096


class App:
    """Routes and everything that is the same for all of them.

    `process` labels the metrics. `lifespan` is entered before the first request and left after
    the last one; background tasks live in it.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        process: str,
        limits: Limits | None = None,
        authenticator: Authenticator | None = None,
        lifespan: Lifespan | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.routes = tuple(routes)
        self.lifespan: Lifespan = lifespan or nullcontext
        self.limits = limits or Limits()
        if authenticator is None and any(route.scope for route in self.routes):
            raise ValueError("routes with a scope need an authenticator")
        self._router = Router(self.routes)
        self._authenticator = authenticator
        self._metrics = RouteMetrics(process, clock or SystemClock())
        self._log = log.get("http")
        self._request_ids = map(f"{secrets.token_hex(6)}-{{:x}}".format, itertools.count())
        self._deadlines = Deadlines(self.limits.body_read_timeout_s)
        self._inflight_bytes = 0
        self._inflight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """The server's entry; never raises for what a client does."""
        request = Request(scope.method, scope.path, scope.query_string, scope.headers)
        self._inflight += 1
        self._idle.clear()
        try:
            response = await self.respond(request, protocol)
            headers = [
                ("content-type", response.content_type),
                ("x-request-id", request.request_id),
                *response.headers,
            ]
            protocol.response_bytes(response.status, headers, response.body)
        finally:
            self._inflight -= 1
            if not self._inflight:
                self._idle.set()

    async def until_idle(self) -> None:
        """Return when no request is being handled."""
        await self._idle.wait()

    async def respond(self, request: Request, source: BodySource) -> Response:
        """The answer to one request; every failure becomes a problem document."""
        request.request_id = self._request_id(request.headers)
        started = self._metrics.now()
        found = self._router.find(request.path)
        try:
            response = await self._routed(request, source, found)
        except HttpError as problem:
            response = problem.response(request.request_id)
        except ClientGone:
            response = Response(_CLIENT_GONE)
        except RetryLater as away:
            response = errors.unavailable(away.message, away.remedy).response(request.request_id)
        except RejectedInput as rejected:
            response = errors.bad_request("rejected", rejected.message, rejected.remedy).response(
                request.request_id
            )
        except Exception as error:
            response = self._failed(request, error)
        self._metrics.answered(found[0].path if found else "none", response.status, started)
        return response

    async def _routed(
        self, request: Request, source: BodySource, found: tuple[Template, dict[str, str]] | None
    ) -> Response:
        if found is None or len(request.path) > self.limits.path_bytes_max:
            raise errors.not_found()
        template, request.params = found
        route = template.methods.get(request.method)
        if route is None:
            raise errors.method_not_allowed(template.allowed)
        if route.scope is not None and (route.body_key is None or _has_key(request.headers)):
            await self._authenticate(request, route, key_of(request.headers.get("authorization")))
        if not route.has_body:
            return await route.handler(request)
        return await self._with_body(request, source, route)

    async def _with_body(self, request: Request, source: BodySource, route: Route) -> Response:
        _check_content_type(route, request.headers)
        limit = route.body_bytes_max or self.limits.body_bytes_max
        length = request.headers.get("content-length")
        reserved = min(limit, declared_length(length)) if length is not None else limit
        encoding = request.headers.get("content-encoding")
        if encoding:
            reserved += limit
        if self._inflight_bytes + reserved > self.limits.inflight_bytes_max:
            raise errors.unavailable(
                "Too much is being handled at the moment.", "Send the same request again."
            )
        self._inflight_bytes += reserved
        try:
            body = await read_body(source, length, limit, self._deadlines)
            request.body = await unpack(body, encoding, limit) if encoding else body
            if request.principal is None and route.scope is not None and route.body_key is not None:
                await self._authenticate(request, route, route.body_key(request))
            return await route.handler(request)
        finally:
            self._inflight_bytes -= reserved

    async def _authenticate(self, request: Request, route: Route, key: str | None) -> None:
        if self._authenticator is None or key is None or route.scope is None:
            raise errors.unauthorized()
        principal = await self._authenticator.authenticate(key)
        if principal is None:
            raise errors.unauthorized()
        if not principal.may(route.scope):
            raise errors.forbidden(route.scope)
        request.principal = principal

    def _request_id(self, headers: Headers) -> str:
        given = headers.get("x-request-id")
        if (
            given
            and len(given) <= _REQUEST_ID_LENGTH_MAX
            and _REQUEST_ID_CHARACTERS.issuperset(given)
        ):
            return str(given)
        return next(self._request_ids)

    def _failed(self, request: Request, error: Exception) -> Response:
        self._log.error(
            "request failed",
            method=request.method,
            path=request.path,
            request_id=request.request_id,
            exc_info=error,
        )
        remedy = error.remedy if isinstance(error, SagestreamError) else ""
        return HttpError(
            500,
            "internal_error",
            "This request failed here, not at your side.",
            remedy or "Give the request id to the operator; the log holds the cause.",
        ).response(request.request_id)


def _has_key(headers: Headers) -> bool:
    return headers.get("authorization") is not None


def _check_content_type(route: Route, headers: Headers) -> None:
    declared = headers.get("content-type")
    if not declared or not route.content_types or declared in route.content_types:
        return
    if declared.partition(";")[0].strip().lower() not in route.content_types:
        accepted = ", ".join(route.content_types)
        raise errors.unsupported_media_type(
            "This Content-Type is not taken here.", f"Send {accepted}.", Accept=accepted
        )
