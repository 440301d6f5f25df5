"""Read a body without ever holding more than the limit."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Protocol

from granian._granian import RSGIProtocolClosed as ProtocolClosed

from infra.http import errors

_INLINE_UNPACK_BYTES_MAX = 16_384
_GZIP = 31
# Each further member costs a copy of the rest, so their number is bounded too.
_GZIP_MEMBERS_MAX = 16


class BodySource(Protocol):
    """The part of an RSGI protocol that yields the body."""

    async def __call__(self) -> bytes: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


async def read_body(
    source: BodySource, content_length: str | None, bytes_max: int, timeout_s: float
) -> bytes:
    """The whole body as sent.

    A declared length is checked before the first byte is read and held to by the server; a body
    without one is counted as it comes.

    Raises:
        HttpError: 413 above `bytes_max`; 400 for a bad length; 408 when it takes too long.
    """
    try:
        async with asyncio.timeout(timeout_s):
            if content_length is not None:
                if declared_length(content_length) > bytes_max:
                    raise errors.too_large(bytes_max)
                return await source()
            return await _read_counted(source, bytes_max)
    except TimeoutError:
        raise errors.HttpError(
            408, "body_too_slow", f"The body did not arrive within {timeout_s:g} s."
        ) from None
    except ProtocolClosed:
        raise errors.ClientGone from None


def declared_length(content_length: str) -> int:
    if not (content_length.isascii() and content_length.isdigit()):
        raise errors.bad_request("bad_content_length", "Content-Length is not a number.")
    return int(content_length)


async def _read_counted(source: BodySource, bytes_max: int) -> bytes:
    chunks = []
    total = 0
    async for chunk in source:
        total += len(chunk)
        if total > bytes_max:
            raise errors.too_large(bytes_max)
        chunks.append(bytes(chunk))
    return b"".join(chunks)


async def unpack(body: bytes, encoding: str | None, bytes_max: int) -> bytes:
    """Undo Content-Encoding; output is cut off at `bytes_max`, whatever the input promises.

    Raises:
        HttpError: 413 above the limit, 400 for broken gzip, 415 for any other encoding.
    """
    if encoding is None or encoding == "" or encoding.lower() == "identity":
        return body
    if encoding.lower() not in ("gzip", "x-gzip"):
        raise errors.unsupported_media_type(
            "This Content-Encoding is not understood.",
            "Send the body as it is, or with `Content-Encoding: gzip`.",
            Accept_Encoding="gzip",
        )
    if len(body) <= _INLINE_UNPACK_BYTES_MAX:
        return gunzip(body, bytes_max)
    return await asyncio.get_running_loop().run_in_executor(None, gunzip, body, bytes_max)


def gunzip(body: bytes, bytes_max: int) -> bytes:
    """Unpack one or more gzip members, stopping at `bytes_max` output bytes."""
    parts: list[bytes] = []
    room = bytes_max
    rest = body
    try:
        while rest:
            if len(parts) == _GZIP_MEMBERS_MAX:
                raise errors.bad_request("broken_gzip", "The gzip body has too many members.")
            member = zlib.decompressobj(_GZIP)
            part = member.decompress(rest, room + 1)
            if len(part) > room:
                raise errors.too_large(bytes_max)
            if not member.eof:
                raise errors.bad_request("broken_gzip", "The gzip body ends too early.")
            parts.append(part)
            room -= len(part)
            rest = member.unused_data
    except zlib.error as error:
        raise errors.bad_request("broken_gzip", f"The gzip body is broken: {error}.") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)
