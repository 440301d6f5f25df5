"""Native results for clients that state a protocol revision."""

from __future__ import annotations

import struct

import pytest

from infra.local.clickhouse.errors import ClickHouseError
from infra.local.clickhouse.native_blocks import with_revision

INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"


def text(value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([len(value)]) + value


def block(rows: int, *columns: tuple[str, bytes]) -> bytes:
    parts = [bytes([len(columns), rows])]
    parts += [text(b"c") + text(type_name.encode()) + data for type_name, data in columns]
    return b"".join(parts)


def marked(rows: int, *columns: tuple[str, bytes]) -> bytes:
    parts = [INFO, bytes([len(columns), rows])]
    parts += [text(b"c") + text(name.encode()) + b"\x00" + data for name, data in columns]
    return b"".join(parts)


LAST = ("UInt8", b"\x07\x08")


@pytest.mark.parametrize(
    ("type_name", "data"),
    [
        ("String", text(b"ab") + text(b"")),
        ("String", b"\x80\x01" + b"x" * 128 + text(b"y")),
        ("Nullable(String)", b"\x00\x01" + text(b"ab") + text(b"")),
        ("FixedString(3)", b"abcdef"),
        ("DateTime64(3, 'UTC')", bytes(16)),
        ("DateTime('Etc/UTC')", bytes(8)),
        ("Decimal(18, 4)", bytes(16)),
        ("Decimal(76, 4)", bytes(64)),
        ("Enum8('a' = 1, 'b)' = 2)", b"\x01\x02"),
        ("UUID", bytes(32)),
        ("IntervalSecond", bytes(16)),
        ("Array(String)", struct.pack("<QQ", 1, 3) + text(b"a") * 3),
        ("Array(Array(UInt8))", struct.pack("<QQ", 1, 2) + struct.pack("<QQ", 1, 2) + b"\x01\x02"),
        ("Array(UInt16)", struct.pack("<QQ", 0, 0)),
        ("Map(String, UInt8)", struct.pack("<QQ", 1, 1) + text(b"k") + b"\x01"),
        ("Tuple(a String, `b, c` Nullable(UInt8))", text(b"x") * 2 + b"\x00\x01\x05\x06"),
        ("Tuple(UInt8, Enum8('x,(' = 1))", b"\x01\x02\x03\x04"),
        ("SimpleAggregateFunction(max, UInt64)", bytes(16)),
        ("Point", bytes(32)),
        (
            "LowCardinality(Nullable(String))",
            struct.pack("<QQQ", 1, 0x600, 2)
            + text(b"")
            + text(b"ab")
            + struct.pack("<Q", 2)
            + b"\x00\x01",
        ),
        (
            "Array(LowCardinality(String))",
            struct.pack("<QQQQQ", 1, 1, 3, 0x601, 1)
            + text(b"ab")
            + struct.pack("<Q", 3)
            + bytes(6),
        ),
    ],
)
def test_a_column_of_every_kind_is_stepped_over(type_name: str, data: bytes) -> None:
    columns = ((type_name, data), LAST)
    assert with_revision(block(2, *columns)) == marked(2, *columns)


def test_every_block_gets_its_info() -> None:
    assert with_revision(block(2, LAST) * 2) == marked(2, LAST) * 2


def test_an_empty_result_stays_empty() -> None:
    assert with_revision(b"") == b""


def test_a_type_that_cannot_be_measured_is_refused_by_name() -> None:
    with pytest.raises(ClickHouseError, match="AggregateFunction"):
        with_revision(block(2, ("AggregateFunction(sum, UInt8)", b"\x00\x00")))


def test_a_block_that_ends_early_is_an_error() -> None:
    with pytest.raises(ClickHouseError):
        with_revision(block(2, ("UInt64", bytes(9))))
