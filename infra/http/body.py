"""Read a body without ever holding more than the limit."""

from __future__ import annotations

import asyncio
import itertools
import zlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

from granian._granian import RSGIProtocolClosed as ProtocolClosed

from infra.http import errors

_INLINE_UNPACK_BYTES_MAX = 16_384
_GZIP = 31
_SWEEP_S = 1.0
# Each further member costs a copy of the rest, so their number is bounded too.
_GZIP_MEMBERS_MAX = 16


class BodySource(Protocol):
    """The part of an RSGI protocol that yields the body."""

    async def __call__(self) -> bytes: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


async def read_body(
    source: BodySource, content_length: str | None, bytes_max: int, deadlines: Deadlines
) -> bytes:
    """The whole body as sent.

    A declared length is checked before the first byte is read and held to by the server; a body
    without one is counted as it comes.

    Raises:
        HttpError: 413 above `bytes_max`; 400 for a bad length; 408 when it takes too long.
        ClientGone: it never became whole.
    """
    if content_length is not None and declared_length(content_length) > bytes_max:
        raise errors.too_large(bytes_max)
    deadline = deadlines.start()
    try:
        if content_length is not None:
            return await source()
        return await _read_counted(source, bytes_max)
    except asyncio.CancelledError:
        if deadlines.passed(deadline):
            raise errors.HttpError(
                408, "body_too_slow", f"The body did not arrive within {deadlines.timeout_s:g} s."
            ) from None
        raise
    except ProtocolClosed:
        raise errors.ClientGone from None
    finally:
        deadlines.end(deadline)


class Deadlines:
    """One timer for all bodies being read, because a timer each costs more than most bodies."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._running: dict[int, tuple[float, asyncio.Task[Any]]] = {}
        self._passed: set[int] = set()
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> int:
        """The current task has `timeout_s` from now; at most a second more."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        number = next(self._numbers)
        self._running[number] = (loop.time() + self.timeout_s, task)
        if self._timer is None:
            self._timer = loop.call_later(_SWEEP_S, self._sweep, loop)
        return number

    def end(self, number: int) -> None:
        self._running.pop(number, None)
        self._passed.discard(number)

    def passed(self, number: int) -> bool:
        return number in self._passed

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for number, (deadline, task) in list(self._running.items()):
            # Started in this order, so the rest is younger.
            if deadline > now:
                break
            del self._running[number]
            self._passed.add(number)
            task.cancel()
        self._timer = loop.call_later(_SWEEP_S, self._sweep, loop) if self._running else None


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
