"""Request bodies as a stream of unpacked chunks, never held whole by this module."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

import lz4.frame
import zstandard

from infra.local.clickhouse.errors import ClickHouseError

CHUNK_BYTES = 262_144
_CHUNK_LINE_MAX = 1_024


class RawBody:
    """The body as it stands on the connection, by Content-Length or chunked."""

    def __init__(self, source: BinaryIO, length: int | None, *, chunked: bool) -> None:
        self._source = source
        self._left = 0 if length is None else length
        self._chunked = chunked
        self._ended = not chunked and self._left == 0

    @property
    def ended(self) -> bool:
        return self._ended

    def read(self) -> bytes:
        """Some bytes, at most CHUNK_BYTES; empty at the end.

        Raises:
            ConnectionError: the client went away in the middle.
            ClickHouseError: the chunked framing is broken.
        """
        if self._ended:
            return b""
        if self._chunked and self._left == 0:
            self._left = self._next_chunk_size()
            if self._ended:
                return b""
        piece = self._source.read(min(self._left, CHUNK_BYTES))
        if not piece:
            raise ConnectionResetError("the client closed the connection within the body")
        self._left -= len(piece)
        if self._left == 0:
            if self._chunked:
                self._source.readline(_CHUNK_LINE_MAX)
            else:
                self._ended = True
        return piece

    def drain(self, bytes_max: int) -> bool:
        """Read the rest away so that the connection can be used again; False if it is too much."""
        left = bytes_max
        while left > 0:
            piece = self.read()
            if not piece:
                return True
            left -= len(piece)
        return self._ended

    def _next_chunk_size(self) -> int:
        line = self._source.readline(_CHUNK_LINE_MAX).split(b";", 1)[0].strip()
        try:
            size = int(line, 16)
        except ValueError:
            size = -1
        if size < 0 or not line[:1].isalnum():
            self._ended = True
            raise ClickHouseError(36, "BAD_ARGUMENTS", "The body's chunked framing is broken")
        if size == 0:
            while self._source.readline(_CHUNK_LINE_MAX) not in (b"\r\n", b"\n", b""):
                continue
            self._ended = True
        return size


class _Decoder(Protocol):
    def unpack(self, piece: bytes) -> Iterator[bytes]: ...

    @property
    def finished(self) -> bool: ...


class _Zlib:
    """gzip (several members too) and deflate."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._member = zlib.decompressobj(window_bits)
        self.finished = False

    def unpack(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            if self._member.eof:
                self._member = zlib.decompressobj(self._window_bits)
            yield self._member.decompress(piece, CHUNK_BYTES)
            piece = self._member.unconsumed_tail or self._member.unused_data
            if not piece and not self._member.eof:
                # More output may wait inside although all input is taken.
                while rest := self._member.decompress(b"", CHUNK_BYTES):
                    yield rest
        self.finished = self._member.eof


class _Lz4:
    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameDecompressor()
        self.finished = False

    def unpack(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            if self._frame.eof:
                self._frame = lz4.frame.LZ4FrameDecompressor()
            yield self._frame.decompress(piece, CHUNK_BYTES)
            while not self._frame.eof and not self._frame.needs_input:
                yield self._frame.decompress(b"", CHUNK_BYTES)
            piece = self._frame.unused_data or b"" if self._frame.eof else b""
        self.finished = self._frame.eof


class _Zstd:
    # One call unpacks all it is given, and 4 bytes can stand for 128 KiB.
    _PIECE_BYTES = 1_024

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        self.finished = False

    def unpack(self, piece: bytes) -> Iterator[bytes]:
        for start in range(0, len(piece), self._PIECE_BYTES):
            part = piece[start : start + self._PIECE_BYTES]
            while part:
                if self._frame.eof:
                    fresh = zstandard.ZstdDecompressor(max_window_size=1 << 27)
                    self._frame = fresh.decompressobj()
                yield self._frame.decompress(part)
                part = self._frame.unused_data if self._frame.eof else b""
        self.finished = self._frame.eof


def unpacked(raw: RawBody, encoding: str | None, bytes_max: int) -> Iterator[bytes]:
    """The body without its Content-Encoding, in chunks; stops at `bytes_max` unpacked bytes.

    Raises:
        ClickHouseError: 779 for an encoding we lack, 271 for broken data, 229 above the limit.
    """
    decoder = _decoder((encoding or "").strip().lower())
    total = 0
    fed = False
    try:
        while piece := raw.read():
            fed = True
            for chunk in (piece,) if decoder is None else decoder.unpack(piece):
                total += len(chunk)
                if total > bytes_max:
                    raise ClickHouseError(
                        229, "QUERY_IS_TOO_LARGE", f"The body is larger than {bytes_max} bytes"
                    )
                if chunk:
                    yield chunk
    except (zlib.error, RuntimeError, zstandard.ZstdError, EOFError) as error:
        raise ClickHouseError(
            271, "CANNOT_DECOMPRESS", f"Cannot unpack the body as {encoding}: {error}", status=400
        ) from None
    if decoder is not None and fed and not decoder.finished:
        raise ClickHouseError(
            271, "CANNOT_DECOMPRESS", f"The {encoding} body ends too early", status=400
        )


def _decoder(encoding: str) -> _Decoder | None:
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip"):
        return _Zlib(31)
    if encoding == "deflate":
        return _Zlib(15)
    if encoding == "lz4":
        return _Lz4()
    if encoding == "zstd":
        return _Zstd()
    raise ClickHouseError(
        779,
        "UNSUPPORTED_MEDIA_TYPE",
        f"Content-Encoding '{encoding[:40]}' is not supported here: use gzip, zstd, lz4 or deflate",
    )
