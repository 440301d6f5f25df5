"""Request bodies: framing, encodings, limits."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable

import lz4.block
import lz4.frame
import pytest
import zstandard

from infra.local.clickhouse.body import CHUNK_BYTES, RawBody, unpacked
from infra.local.clickhouse.errors import ClickHouseError
from infra.local.clickhouse.native_frames import unframed

TEXT = b"the same line again and again\n" * 40_000
LIMIT = 10_000_000
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstandard.compress,
}


def raw(data: bytes) -> RawBody:
    return RawBody(io.BytesIO(data), len(data), chunked=False)


def read(data: bytes, encoding: str, limit: int = LIMIT) -> bytes:
    return b"".join(unpacked(raw(data), encoding, limit))


@pytest.mark.parametrize("encoding", PACKERS)
def test_every_encoding_is_undone(encoding: str) -> None:
    assert read(PACKERS[encoding](TEXT), encoding) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd"])
def test_several_members_follow_each_other(encoding: str) -> None:
    pack = PACKERS[encoding]
    assert read(pack(b"one ") + pack(b"two"), encoding) == b"one two"


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_body_that_ends_early_is_an_error(encoding: str) -> None:
    with pytest.raises(ClickHouseError) as caught:
        read(PACKERS[encoding](TEXT)[:-6], encoding)
    assert (caught.value.code, caught.value.status) == (271, 400)


@pytest.mark.parametrize("encoding", PACKERS)
def test_junk_is_an_error(encoding: str) -> None:
    with pytest.raises(ClickHouseError):
        read(b"this is not packed at all", encoding)


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_bomb_is_stopped_at_the_limit(encoding: str) -> None:
    bomb = PACKERS[encoding](bytes(50_000_000))
    with pytest.raises(ClickHouseError) as caught:
        read(bomb, encoding, 1_000_000)
    assert caught.value.status == 413


def test_an_unknown_encoding_names_the_known_ones() -> None:
    with pytest.raises(ClickHouseError, match="gzip, zstd, lz4"):
        read(b"", "br")


def test_chunks_are_joined_and_the_next_request_is_left_alone() -> None:
    source = io.BytesIO(b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\nGET /")
    body = RawBody(source, None, chunked=True)
    assert b"".join(unpacked(body, None, LIMIT)) == b"abcde"
    assert body.ended
    assert source.read() == b"GET /"


@pytest.mark.parametrize("size", [b"zz", b"-1", b"", b"+5"])
def test_broken_chunks_are_an_error(size: bytes) -> None:
    with pytest.raises(ClickHouseError):
        RawBody(io.BytesIO(size + b"\r\nabc\r\n"), None, chunked=True).read()


def test_a_client_that_goes_away_is_noticed() -> None:
    body = RawBody(io.BytesIO(b"abc"), 10, chunked=False)
    with pytest.raises(ConnectionError):
        list(unpacked(body, None, LIMIT))


def test_what_is_left_can_be_drained() -> None:
    body = raw(bytes(3 * CHUNK_BYTES))
    body.read()
    assert body.drain(10 * CHUNK_BYTES)
    assert not raw(bytes(3 * CHUNK_BYTES)).drain(CHUNK_BYTES)


def frame(method: int, packed: bytes, size: int) -> bytes:
    return bytes(16) + struct.pack("<BII", method, len(packed) + 9, size) + packed


def test_native_frames_of_every_method_are_undone() -> None:
    body = (
        frame(0x02, b"plain ", 6)
        + frame(0x82, lz4.block.compress(b"lz4 ", store_size=False), 4)
        + frame(0x90, zstandard.compress(b"zstd"), 4)
    )
    pieces = [body[start : start + 7] for start in range(0, len(body), 7)]
    assert b"".join(unframed(pieces, LIMIT)) == b"plain lz4 zstd"


@pytest.mark.parametrize(
    "body",
    [
        frame(0x02, b"plain", 6),
        frame(0x82, b"\xff\xff\xff", 4),
        frame(0x55, b"x", 1),
        frame(0x02, b"plain", 5)[:-1],
        bytes(16) + struct.pack("<BII", 0x82, 3, 3),
        bytes(16) + struct.pack("<BII", 0x82, 1 << 31, 3),
    ],
)
def test_a_broken_frame_is_an_error(body: bytes) -> None:
    with pytest.raises(ClickHouseError):
        list(unframed([body], LIMIT))


def test_frames_are_stopped_at_the_limit() -> None:
    packed = lz4.block.compress(bytes(1_000_000), store_size=False)
    with pytest.raises(ClickHouseError) as caught:
        list(unframed([frame(0x82, packed, 1_000_000)] * 5, 2_000_000))
    assert caught.value.code == 229
