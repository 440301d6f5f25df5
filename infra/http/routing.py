"""Routes, and finding the one for a path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from infra.http.auth import SCOPES
from infra.http.request import Request
from infra.http.response import Response

Handler = Callable[[Request], Awaitable[Response]]
Scope = Literal["ingest", "read", "admin"]

_PARAMETER = re.compile(r"\{([a-z_]+)\}")
_UNSTATED: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path template, such as `/v1/patterns/{pattern_hash}`.

    `scope` has to be stated: the scope a key must hold, or None for a public route.
    `query`, `request` and `response` are types msgspec can describe; they feed the OpenAPI page.
    `content_types` lists what a body may be declared as; empty means anything.
    `body_key` finds the API key in a body that came without an `Authorization` header.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope | None = _UNSTATED
    summary: str = ""
    description: str = ""
    query: Any = None
    request: Any = None
    response: Any = None
    content_types: tuple[str, ...] = ("application/json",)
    body_bytes_max: int | None = None
    body_key: Callable[[Request], str | None] | None = None

    def __post_init__(self) -> None:
        if self.scope is _UNSTATED:
            raise ValueError(f"{self.method} {self.path}: state a scope, or scope=None for public")
        if self.scope is not None and self.scope not in SCOPES:
            raise ValueError(f"{self.method} {self.path}: unknown scope {self.scope!r}")
        if not self.path.startswith("/"):
            raise ValueError(f"{self.path!r} must start with a slash")

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(_PARAMETER.findall(self.path))

    @property
    def has_body(self) -> bool:
        return self.method in ("POST", "PUT", "PATCH")


@dataclass(frozen=True, slots=True)
class Template:
    """A path template and its methods."""

    path: str
    pattern: re.Pattern[str] | None
    methods: dict[str, Route]

    @property
    def allowed(self) -> str:
        return ", ".join(sorted(self.methods))


class Router:
    """Fixed paths by dictionary; templates by pattern, the most literal first."""

    def __init__(self, routes: Iterable[Route]) -> None:
        templates: dict[str, Template] = {}
        for route in routes:
            template = templates.setdefault(
                route.path, Template(route.path, _pattern(route.path), {})
            )
            if route.method in template.methods:
                raise ValueError(f"{route.method} {route.path} is routed twice")
            template.methods[route.method] = route
        for template in templates.values():
            if "GET" in template.methods:
                template.methods.setdefault("HEAD", template.methods["GET"])
        self._fixed = {t.path: t for t in templates.values() if t.pattern is None}
        self._patterned: Sequence[Template] = sorted(
            (t for t in templates.values() if t.pattern is not None),
            key=lambda t: -len(_PARAMETER.sub("", t.path)),
        )

    def find(self, path: str) -> tuple[Template, dict[str, str]] | None:
        """The template that fits a decoded path, and the values of its parameters."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed, {}
        for template in self._patterned:
            match = template.pattern.fullmatch(path) if template.pattern else None
            if match is not None:
                return template, match.groupdict()
        return None


def _pattern(path: str) -> re.Pattern[str] | None:
    if "{" not in path:
        return None
    pieces = _PARAMETER.split(path)
    return re.compile(
        "".join(
            re.escape(piece) if index % 2 == 0 else f"(?P<{piece}>[^/]+)"
            for index, piece in enumerate(pieces)
        )
    )
