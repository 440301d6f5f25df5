"""Undo ClickHouse's own compressed framing (`decompress=1`): a sequence of checked blocks.

A frame is: 16 bytes of checksum, 1 byte of method, 4 bytes of its size from the method on,
4 bytes of its unpacked size, then the packed bytes. The checksum is not verified here: TCP on
one machine does not corrupt, and the packed formats notice most damage themselves.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import lz4.block
import zstandard

from infra.local.clickhouse.errors import ClickHouseError

_CHECKSUM_BYTES = 16
_HEADER = struct.Struct("<BII")
_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90
_UNPACKED_BYTES_MAX = 1 << 28
_PACKED_BYTES_MAX = 1 << 28


def unframed(pieces: Iterable[bytes], bytes_max: int) -> Iterator[bytes]:
    """Contents of the frames in `pieces`, stopping at `bytes_max` unpacked bytes.

    Raises:
        ClickHouseError: 271 for a broken frame, 89 for an unknown method, 229 above the limit.
    """
    held = bytearray()
    left = bytes_max
    for piece in pieces:
        held += piece
        while (size := _frame_size(held)) is not None and len(held) >= size:
            content = _content(bytes(held[_CHECKSUM_BYTES:size]))
            del held[:size]
            left -= len(content)
            if left < 0:
                raise ClickHouseError(
                    229, "QUERY_IS_TOO_LARGE", f"The body is larger than {bytes_max} bytes"
                )
            yield content
    if held:
        raise _broken("it ends within a frame")


def _frame_size(held: bytearray) -> int | None:
    """Bytes of the first frame with its checksum, None while its header is incomplete."""
    if len(held) < _CHECKSUM_BYTES + _HEADER.size:
        return None
    _method, packed, unpacked = _HEADER.unpack_from(held, _CHECKSUM_BYTES)
    if packed < _HEADER.size or packed > _PACKED_BYTES_MAX or unpacked > _UNPACKED_BYTES_MAX:
        raise _broken("a frame's size is impossible")
    return _CHECKSUM_BYTES + int(packed)


def _content(frame: bytes) -> bytes:
    method, _packed, unpacked = _HEADER.unpack_from(frame)
    body = frame[_HEADER.size :]
    try:
        if method == _LZ4:
            content = lz4.block.decompress(body, uncompressed_size=unpacked)
        elif method == _ZSTD:
            content = zstandard.ZstdDecompressor().decompress(body, max_output_size=unpacked)
        elif method == _NONE:
            content = body
        else:
            raise ClickHouseError(
                89,
                "UNKNOWN_COMPRESSION_METHOD",
                f"Unknown compression method 0x{method:02x} in a frame",
                status=400,
            )
    except (lz4.block.LZ4BlockError, zstandard.ZstdError) as error:
        raise _broken(str(error)) from None
    if len(content) != unpacked:
        raise _broken("a frame holds another size than it says")
    return bytes(content)


def _broken(why: str) -> ClickHouseError:
    return ClickHouseError(
        271, "CANNOT_DECOMPRESS", f"Cannot unpack the body (decompress=1): {why}", status=400
    )
