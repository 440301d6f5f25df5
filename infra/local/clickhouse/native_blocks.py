"""Native results for clients that state a protocol revision (`client_protocol_version`).

The engine writes Native as for a client without one. A newer client expects two additions: a
block info before each block, and after each column's type a byte that says whether the column
is serialised in a special way (never, here). Finding the columns means stepping over their data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.local.clickhouse.errors import ClickHouseError

# From here on both additions are expected; older revisions are answered without them.
REVISION_WITH_CUSTOM_SERIALIZATION = 54_454
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_NOT_CUSTOM = b"\x00"
_GLOBAL_DICTIONARY = 0x100
_KEYS_FOLLOW = 0x200

_WIDTH = {
    "Bool": 1, "Int8": 1, "UInt8": 1, "Enum8": 1, "Nothing": 1,
    "Int16": 2, "UInt16": 2, "Date": 2, "Enum16": 2, "BFloat16": 2,
    "Int32": 4, "UInt32": 4, "Float32": 4, "Date32": 4, "DateTime": 4, "Time": 4, "IPv4": 4,
    "Decimal32": 4,
    "Int64": 8, "UInt64": 8, "Float64": 8, "DateTime64": 8, "Time64": 8, "Decimal64": 8,
    "Int128": 16, "UInt128": 16, "UUID": 16, "IPv6": 16, "Decimal128": 16,
    "Int256": 32, "UInt256": 32, "Decimal256": 32,
}  # fmt: skip
_DECIMAL_WIDTHS = ((9, 4), (18, 8), (38, 16), (76, 32))
_GEO = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}
_NAMED_ELEMENT = re.compile(r"(?:`(?:[^`\\]|\\.)*`|[A-Za-z_][A-Za-z0-9_]*) (?=[A-Za-z])")


def with_revision(native: bytes) -> bytes:
    """Add block infos and serialisation marks to a Native result.

    Raises:
        ClickHouseError: 48 for a column type whose size cannot be told here.
    """
    parts: list[bytes] = []
    at = 0
    try:
        while at < len(native):
            parts.append(_BLOCK_INFO)
            at = _block(native, at, parts)
    except IndexError:
        raise ClickHouseError(33, "CANNOT_READ_ALL_DATA", "A Native block ends early") from None
    return b"".join(parts)


def _block(native: bytes, start: int, parts: list[bytes]) -> int:
    columns, at = _varint(native, start)
    rows, at = _varint(native, at)
    parts.append(native[start:at])
    for _ in range(columns):
        column = at
        _, at = _string(native, at)
        type_name, at = _string(native, at)
        parts.append(native[column:at] + _NOT_CUSTOM)
        data = at
        if rows:
            at += _prefix_bytes(type_name.decode())
            at = _skip(native, at, type_name.decode(), rows)
        if at > len(native):
            raise IndexError
        parts.append(native[data:at])
    return at


def _prefix_bytes(type_name: str) -> int:
    """What stands before a column's data, once however deep its type: versions of dictionaries."""
    family, _, rest = type_name.partition("(")
    if family == "LowCardinality":
        return 8
    if family in ("Array", "Nullable", "Map", "Tuple"):
        return sum(_prefix_bytes(element) for element in _elements(rest[:-1]))
    return 0


def _dictionary(native: bytes, at: int, inner: str) -> int:
    """Past the flags, keys and positions of LowCardinality(inner)."""
    flags, at = _number(native, at)
    if flags & _GLOBAL_DICTIONARY:
        raise ClickHouseError(48, "NOT_IMPLEMENTED", "Global dictionaries in Native columns")
    if flags & _KEYS_FOLLOW:
        keys, at = _number(native, at)
        # The null key, if there can be one, is stored like any other.
        bare = inner[len("Nullable(") : -1] if inner.startswith("Nullable(") else inner
        at = _skip(native, at, bare, keys) if keys else at
    positions, at = _number(native, at)
    return at + (positions << (flags & 0xFF))


def _number(native: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(native[at : at + 8], "little"), at + 8


def _skip(native: bytes, at: int, type_name: str, rows: int) -> int:
    """Past one column's data."""
    family, _, rest = type_name.partition("(")
    inner = rest[:-1]
    if family == "String":
        for _ in range(rows):
            size, at = _varint(native, at)
            at += size
        return at
    if family == "FixedString":
        return at + rows * int(inner)
    if family == "LowCardinality":
        return _dictionary(native, at, inner)
    if family == "Nullable":
        return _skip(native, at + rows, inner, rows)
    if family == "Array":
        elements, at = _number(native, at + 8 * (rows - 1))
        return _skip(native, at, inner, elements) if elements else at
    if family == "Map":
        return _skip(native, at, f"Array(Tuple({inner}))", rows)
    if family == "Tuple":
        for element in _elements(inner):
            at = _skip(native, at, element, rows)
        return at if inner else at + rows
    if family == "SimpleAggregateFunction":
        return _skip(native, at, list(_elements(inner))[1], rows)
    if family in _GEO:
        return _skip(native, at, _GEO[family], rows)
    return at + rows * _width(family, inner, type_name)


def _width(family: str, inner: str, type_name: str) -> int:
    if family == "Decimal":
        precision = int(inner.partition(",")[0])
        return next(width for digits, width in _DECIMAL_WIDTHS if precision <= digits)
    if family.startswith("Interval"):
        return 8
    width = _WIDTH.get(family)
    if width is None:
        raise ClickHouseError(
            48,
            "NOT_IMPLEMENTED",
            f"Columns of type {type_name} cannot be sent in Native with client_protocol_version"
            " here; cast them, for example with toString()",
        )
    return width


def _elements(inner: str) -> Iterator[str]:
    """Types inside a Tuple or function, without element names; commas inside them are not ours."""
    depth = start = 0
    quote = ""
    for at, sign in enumerate(inner):
        if quote:
            quote = "" if sign == quote and inner[at - 1] != "\\" else quote
        elif sign in "'`":
            quote = sign
        elif sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
        elif sign == "," and depth == 0:
            yield _unnamed(inner[start:at])
            start = at + 1
    if inner:
        yield _unnamed(inner[start:])


def _unnamed(element: str) -> str:
    return _NAMED_ELEMENT.sub("", element.strip(), count=1)


def _varint(native: bytes, at: int) -> tuple[int, int]:
    value = native[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    shift = 7
    while True:
        byte = native[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _string(native: bytes, at: int) -> tuple[bytes, int]:
    size, at = _varint(native, at)
    return native[at : at + size], at + size
