"""A request as ClickHouse's HTTP interface reads it: what its parameters and headers mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from infra.local.clickhouse.accounts import Account, Headers
from infra.local.clickhouse.errors import ClickHouseError
from infra.local.clickhouse.limits import Limits, analyst_settings

_PARAMETERS_MAX = 2_000
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,127}")
_PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_PARAMETER_PREFIX = "param_"
# Parameters of the interface itself; those that only matter to a real server are accepted.
_RESERVED = {
    *("query", "database", "default_format", "user", "password", "quota_key", "role", "query_id"),
    *("compress", "decompress", "client_protocol_version", "wait_end_of_query", "buffer_size"),
    *("session_id", "session_timeout", "session_check", "close_session", "stacktrace", ""),
}


@dataclass(frozen=True, slots=True)
class Query:
    """What to run and how; the statement's text is `query_text` followed by the body."""

    account: Account
    query_text: bytes
    database: str
    default_format: str
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    readonly: int = 0
    native_frames: bool = False
    client_revision: int = 0
    compress_answer: bool = True


def split_target(target: str) -> tuple[str, dict[str, str]]:
    """Path and parameters of a request target; the first of repeated parameters counts.

    Raises:
        ClickHouseError: too many parameters.
    """
    parts = urlsplit(target)
    try:
        pairs = parse_qsl(
            parts.query,
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=_PARAMETERS_MAX,
        )
    except ValueError:
        raise ClickHouseError(36, "BAD_ARGUMENTS", "Too many parameters in the URL") from None
    parameters: dict[str, str] = {}
    for name, value in pairs:
        parameters.setdefault(name, value)
    return parts.path or "/", parameters


def read_query(
    method: str,
    parameters: Mapping[str, str],
    headers: Headers,
    *,
    account: Account,
    limits: Limits,
    database: str,
) -> Query:
    """Settings, substitutions and formats of a request; `database` is where it runs by default.

    Raises:
        ClickHouseError: a name is malformed, or a setting is not the account's to change.
    """
    if _flag(parameters, "compress"):
        raise ClickHouseError(
            48,
            "NOT_IMPLEMENTED",
            "compress=1 (framed answers) is not supported here: send Accept-Encoding and"
            " enable_http_compression=1 instead",
        )
    settings = {
        name: value
        for name, value in parameters.items()
        if name not in _RESERVED and not name.startswith(_PARAMETER_PREFIX)
    }
    for name in settings:
        if not _SETTING_NAME.fullmatch(name):
            raise ClickHouseError(115, "UNKNOWN_SETTING", f"Unknown setting '{name[:100]}'")
    query_text = parameters.get("query", "").encode("utf-8", "surrogateescape")
    return Query(
        account=account,
        query_text=query_text + b"\n" if query_text else b"",
        database=headers.get("X-ClickHouse-Database") or parameters.get("database") or database,
        default_format=headers.get("X-ClickHouse-Format")
        or parameters.get("default_format")
        or "TabSeparated",
        settings=_granted(settings, account, limits),
        parameters=_substitutions(parameters),
        readonly=1 if account.read_only else 2 if method in ("GET", "HEAD") else 0,
        native_frames=_flag(parameters, "decompress"),
        client_revision=_number(parameters, "client_protocol_version"),
        compress_answer=_flag(parameters, "enable_http_compression", default=True),
    )


def _granted(settings: Mapping[str, str], account: Account, limits: Limits) -> dict[str, str]:
    if account.read_only:
        return analyst_settings(settings, limits.analyst)
    bound = {"max_result_bytes": str(limits.result_bytes_max), "result_overflow_mode": "throw"}
    return {**bound, **settings}


def _substitutions(parameters: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, value in parameters.items():
        if not name.startswith(_PARAMETER_PREFIX):
            continue
        bare = name.removeprefix(_PARAMETER_PREFIX)
        if not _PARAMETER_NAME.fullmatch(bare):
            raise ClickHouseError(36, "BAD_ARGUMENTS", f"Malformed parameter name '{bare[:100]}'")
        found[bare] = value
    return found


def _flag(parameters: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    value = parameters.get(name)
    return default if value is None else value.lower() in ("1", "true")


def _number(parameters: Mapping[str, str], name: str) -> int:
    value = parameters.get(name, "0")
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ClickHouseError(72, "CANNOT_PARSE_NUMBER", f"Cannot parse '{name}' as a number")
    return int(value)
