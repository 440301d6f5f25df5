"""What a handler answers."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

JSON = "application/json"


class Response(NamedTuple):
    """A whole answer; `headers` are (name, value) pairs besides Content-Type and -Length."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


def json_response(
    content: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """Encode anything msgspec can: structs, dataclasses, dicts, lists, datetimes."""
    return Response(status, msgspec.json.encode(content), JSON, headers)
