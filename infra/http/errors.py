"""Answers that are not the handler's, as RFC 9457 problem documents.

HttpError                       one request cannot be answered as asked
├── status 400-415, 422         the request is wrong: sending it again changes nothing
└── status 429, 503             retry after `Retry-After` seconds: nothing was half-done
ClientGone                      the client hung up; there is nobody to answer

Every body also holds `success`, `code`, `message` and `detail`, the keys that the public
analytics SDKs read from an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from infra.http.response import Response

PROBLEM_JSON = "application/problem+json"


class ClientGone(Exception):
    """The connection closed before the request was whole."""


class HttpError(Exception):
    """Raise anywhere in a handler to answer with this problem.

    `code` is a stable word for programs, `message` one sentence for people, `detail` the next
    step; `more` adds members to the problem document, `headers` to the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def response(self, request_id: str) -> Response:
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "success": False,
            "code": self.code,
            "message": self.message,
            "detail": self.detail or self.message,
            "request_id": request_id,
            **self.more,
        }
        return Response(
            self.status, msgspec.json.encode(body), PROBLEM_JSON, tuple(self.headers.items())
        )


def bad_request(code: str, message: str, detail: str = "", **more: Any) -> HttpError:
    return HttpError(400, code, message, detail, more=more)


def unauthorized() -> HttpError:
    """One text for a missing, wrong, unknown and revoked key."""
    return HttpError(
        401,
        "unauthorized",
        "This request needs a valid API key.",
        "Send `Authorization: Bearer KEY`; `sagestream keys create` makes a key.",
        headers={"WWW-Authenticate": 'Bearer realm="sagestream"'},
    )


def forbidden(scope: str) -> HttpError:
    return HttpError(
        403,
        "forbidden",
        "This API key may not do that.",
        f"The key needs the scope `{scope}`; `sagestream keys create` can give it.",
    )


def not_found(message: str = "There is nothing at this address.", detail: str = "") -> HttpError:
    return HttpError(404, "not_found", message, detail)


def method_not_allowed(allowed: str) -> HttpError:
    return HttpError(
        405,
        "method_not_allowed",
        "This address does not take that method.",
        f"Use {allowed}.",
        headers={"Allow": allowed},
    )


def too_large(limit_bytes: int) -> HttpError:
    return HttpError(
        413,
        "body_too_large",
        f"The body is larger than {limit_bytes} bytes.",
        "Send the same content in several smaller requests.",
        more={"limit_bytes": limit_bytes},
    )


def unsupported_media_type(message: str, detail: str, **headers: str) -> HttpError:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpError(415, "unsupported_media_type", message, detail, headers=names)


def too_many_requests(retry_after_s: int) -> HttpError:
    return HttpError(
        429,
        "too_many_requests",
        "Too many requests.",
        f"Wait {retry_after_s} s and send the request again.",
        headers={"Retry-After": str(retry_after_s)},
    )


def unavailable(message: str, detail: str, *, retry_after_s: int = 1, **more: Any) -> HttpError:
    """503: nothing was lost, and the same request is safe to repeat."""
    return HttpError(
        503,
        "unavailable",
        message,
        detail,
        headers={"Retry-After": str(retry_after_s)},
        more=more,
    )
