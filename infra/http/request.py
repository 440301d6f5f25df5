"""What a handler is given: already routed, authenticated, bounded and unpacked."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec

from infra.http import errors
from infra.http.auth import Principal

T = TypeVar("T")


class Headers(Protocol):
    """Lower-case names; the first value of a repeated one."""

    def get(self, key: str, default: Any = None) -> Any: ...


class Request:
    """One request. `body` is complete, within the limit, and no longer compressed.

    `memo` is free for a route's `body_key` to leave something for its handler.
    """

    __slots__ = (
        "_query",
        "body",
        "headers",
        "memo",
        "method",
        "params",
        "path",
        "principal",
        "query_string",
        "request_id",
    )

    def __init__(self, method: str, path: str, query_string: str, headers: Headers) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers
        self.params: dict[str, str] = {}
        self.body = b""
        self.principal: Principal | None = None
        self.request_id = ""
        self.memo: Any = None
        self._query: dict[str, str] | None = None

    @property
    def tenant(self) -> str:
        """The client id behind the key; only for routes with a scope."""
        if self.principal is None:
            raise errors.unauthorized()
        return self.principal.client_id

    @property
    def query(self) -> dict[str, str]:
        """Query parameters, percent-decoded.

        Raises:
            HttpError: 400 for a repeated parameter or broken encoding.
        """
        if self._query is None:
            self._query = _parse_query(self.query_string) if self.query_string else {}
        return self._query

    def query_as(self, shape: type[T]) -> T:
        """The query as a msgspec struct; text is turned into the field's type.

        Raises:
            HttpError: 400 naming the parameter.
        """
        try:
            return msgspec.convert(self.query, shape, strict=False)
        except msgspec.ValidationError as error:
            raise errors.bad_request(
                "invalid_query", f"The query is wrong: {error}.", "See the OpenAPI page."
            ) from None

    def body_as(self, shape: type[T]) -> T:
        """The JSON body as a msgspec struct.

        Raises:
            HttpError: 400 naming the position of broken JSON or the field of a wrong value.
        """
        try:
            return msgspec.json.decode(self.body, type=shape)
        except msgspec.ValidationError as error:
            raise errors.bad_request(
                "invalid_body", f"The body is wrong: {error}.", "See the OpenAPI page."
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.bad_request(
                "malformed_json", f"The body is not JSON: {error}.", "Send one JSON document."
            ) from None


def _parse_query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100)
    except (ValueError, UnicodeDecodeError):
        raise errors.bad_request("invalid_query", "The query string cannot be read.") from None
    query = dict(pairs)
    if len(query) != len(pairs):
        raise errors.bad_request("invalid_query", "A query parameter is given twice.")
    return query
