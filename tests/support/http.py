"""Call an App without a socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from infra.http import App, Request, Response


class BodyOf:
    """A body as the server would hand it over, in chunks of `chunk_bytes`."""

    def __init__(self, body: bytes, chunk_bytes: int = 65_536) -> None:
        self._body = body
        self._chunk_bytes = chunk_bytes
        self.read_bytes = 0

    async def __call__(self) -> bytes:
        self.read_bytes = len(self._body)
        return self._body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), self._chunk_bytes):
            chunk = self._body[start : start + self._chunk_bytes]
            self.read_bytes += len(chunk)
            yield chunk


async def call(
    app: App,
    method: str,
    path: str,
    *,
    body: bytes | Any = b"",
    headers: Mapping[str, str] | None = None,
    key: str | None = None,
) -> Response:
    """One request; a body that is not bytes is sent as JSON, and the length is declared."""
    path, _, query = path.partition("?")
    all_headers = {name.lower(): value for name, value in (headers or {}).items()}
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
        all_headers.setdefault("content-type", "application/json")
    all_headers.setdefault("content-length", str(len(body)))
    if key is not None:
        all_headers["authorization"] = f"Bearer {key}"
    request = Request(method, path, query, all_headers)
    return await app.respond(request, BodyOf(body))


def problem(response: Response) -> dict[str, Any]:
    """The parsed body of an error answer."""
    parsed: dict[str, Any] = json.loads(response.body)
    return parsed
