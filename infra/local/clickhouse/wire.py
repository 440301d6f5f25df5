"""ClickHouse's HTTP interface in both directions: parameters, bodies, encodings."""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl

import lz4.frame
import zstandard

from infra.local.clickhouse.engine import setting_name
from infra.local.clickhouse.errors import EngineError
from infra.local.clickhouse.statement import head_of, is_insert

BODY_BYTES_MAX = 536_870_912
DEFAULT_FORMAT = "TabSeparated"
_PARAMETER_PREFIX = "param_"
# Parameters of the interface itself; every other one is a setting of the engine.
_INTERFACE = frozenset(
    (
        "query", "database", "user", "password", "query_id", "session_id", "session_timeout",
        "session_check", "close_session", "default_format", "enable_http_compression", "compress",
        "decompress", "wait_end_of_query", "buffer_size", "quota_key", "client_protocol_version",
        "send_progress_in_http_headers", "http_headers_progress_interval_ms", "role", "stacktrace",
        "cancel_http_readonly_queries_on_client_close", "add_http_cors_header",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `head` is the statement as text, `statement` all bytes with insert data."""

    head: str
    statement: bytes
    user: str
    password: str
    database: str
    query_id: str
    default_format: str
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    encoding: str = ""


def parse(query_string: str, headers: Mapping[str, str], body: bytes, database: str) -> Call:
    """The call of a request whose body is already unpacked; header names in lower case.

    Raises:
        EngineError: no statement, or a parameter that cannot be a setting.
    """
    fields = dict(parse_qsl(query_string, keep_blank_values=True))
    user, password = _credentials(fields, headers)
    query = fields.get("query", "")
    statement = body
    if query:
        separator = b"\n" if is_insert(query) else b" "
        statement = query.encode() + (separator + body if body else b"")
    if not statement.strip():
        raise EngineError(62, "Syntax error: empty query")
    default_format = (
        headers.get("x-clickhouse-format") or fields.get("default_format") or DEFAULT_FORMAT
    )
    return Call(
        head=head_of(statement, default_format),
        statement=statement,
        user=user,
        password=password,
        database=fields.get("database") or headers.get("x-clickhouse-database") or database,
        query_id=fields.get("query_id", ""),
        default_format=default_format,
        settings={
            setting_name(name): value
            for name, value in fields.items()
            if name not in _INTERFACE and not name.startswith(_PARAMETER_PREFIX)
        },
        parameters={
            name.removeprefix(_PARAMETER_PREFIX): value
            for name, value in fields.items()
            if name.startswith(_PARAMETER_PREFIX)
        },
        encoding=_wanted_encoding(fields, headers),
    )


def unpack(body: bytes, encoding: str) -> bytes:
    """The body without its Content-Encoding.

    Raises:
        EngineError: an unknown encoding, damaged data, or more than BODY_BYTES_MAX bytes.
    """
    if encoding in ("", "identity"):
        return body
    decoder = _DECODERS.get(encoding)
    if decoder is None:
        raise EngineError(48, f"Unknown Content-Encoding {encoding[:32]!r}: use gzip, lz4 or zstd.")
    try:
        unpacked = decoder(body)
    except (zlib.error, OSError, EOFError, RuntimeError, zstandard.ZstdError) as error:
        raise EngineError(354, f"The request body is not valid {encoding}: {error}") from None
    if len(unpacked) > BODY_BYTES_MAX:
        raise EngineError(307, f"The unpacked body is larger than {BODY_BYTES_MAX} bytes.")
    return unpacked


def pack(data: bytes, encoding: str) -> bytes:
    """The answer in the encoding chosen by `Call.encoding`."""
    return _ENCODERS[encoding](data) if encoding else data


class _Unpacker(Protocol):
    """What the standard library's and lz4's decompressors share."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _unpack_members(body: bytes, make: Callable[[], _Unpacker]) -> bytes:
    """All members (gzip) or frames (lz4) of a body, stopping just past the limit."""
    parts: list[bytes] = []
    room = BODY_BYTES_MAX + 1
    while body and room > 0:
        unpacker = make()
        parts.append(unpacker.decompress(body, room))
        room -= len(parts[-1])
        if not unpacker.eof:
            if room > 0:
                raise EOFError("the data ends too early")
            break
        body = unpacker.unused_data or b""
    return b"".join(parts)


def _gunzip(body: bytes) -> bytes:
    return _unpack_members(body, lambda: zlib.decompressobj(zlib.MAX_WBITS | 32))


def _unlz4(body: bytes) -> bytes:
    return _unpack_members(body, lz4.frame.LZ4FrameDecompressor)


def _unzstd(body: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
        return reader.read(BODY_BYTES_MAX + 1)


_DECODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": _gunzip,
    "deflate": _gunzip,
    "zstd": _unzstd,
    "lz4": _unlz4,
}
_ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "zstd": lambda data: zstandard.ZstdCompressor(level=1).compress(data),
    "lz4": lambda data: bytes(lz4.frame.compress(data)),
    "gzip": lambda data: gzip.compress(data, compresslevel=1),
    "deflate": lambda data: zlib.compress(data, level=1),
}


def _wanted_encoding(fields: Mapping[str, str], headers: Mapping[str, str]) -> str:
    if fields.get("enable_http_compression", "0") not in ("1", "true"):
        return ""
    offered = {part.split(";")[0].strip() for part in headers.get("accept-encoding", "").split(",")}
    return next((name for name in _ENCODERS if name in offered), "")


def _credentials(fields: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    if "x-clickhouse-user" in headers:
        return headers["x-clickhouse-user"], headers.get("x-clickhouse-key", "")
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return name, password
    return fields.get("user", "default"), fields.get("password", "")
