"""Ask a local HTTP listener something short."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

_TIMEOUT_S = 5.0


def get(host: str, port: int, path: str) -> tuple[int, bytes] | None:
    """(status, body), or None while nobody answers."""
    connection = HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
