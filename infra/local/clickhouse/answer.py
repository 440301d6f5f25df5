"""What goes back: content type, summary, compression."""

from __future__ import annotations

import json
import zlib

import zstandard

from infra.local.clickhouse.engine import Outcome

_BINARY = "application/octet-stream"
_TEXT = "text/plain; charset=UTF-8"
_CONTENT_TYPES = (
    ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
    ("TSV", "text/tab-separated-values; charset=UTF-8"),
    ("CSV", "text/csv; charset=UTF-8; header=absent"),
    ("JSONEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSONCompactEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSONStringsEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSONLines", "application/x-ndjson; charset=UTF-8"),
    ("NDJSON", "application/x-ndjson; charset=UTF-8"),
    ("JSON", "application/json; charset=UTF-8"),
    ("XML", "application/xml; charset=UTF-8"),
    ("Native", _BINARY),
    ("RowBinary", _BINARY),
    ("Parquet", _BINARY),
    ("Arrow", _BINARY),
    ("ORC", _BINARY),
    ("Avro", _BINARY),
    ("MsgPack", _BINARY),
)
# Packing a few bytes costs more than it saves.
_PACKED_BYTES_MIN = 1_024
_GZIP = 31


def content_type(output_format: str) -> str:
    """The media type a ClickHouse server states for a format."""
    for prefix, media_type in _CONTENT_TYPES:
        if output_format.startswith(prefix):
            return media_type
    return _TEXT


def summary(outcome: Outcome) -> str:
    """X-ClickHouse-Summary: counts as strings, as ClickHouse writes them."""
    counts = {
        "read_rows": outcome.read_rows or outcome.written_rows,
        "read_bytes": outcome.read_bytes or outcome.written_bytes,
        "written_rows": outcome.written_rows,
        "written_bytes": outcome.written_bytes,
        "total_rows_to_read": outcome.read_rows,
        "result_rows": outcome.result_rows or outcome.written_rows,
        "result_bytes": len(outcome.data) or outcome.written_bytes,
        "elapsed_ns": int(outcome.elapsed_s * 1e9),
    }
    return json.dumps({name: str(count) for name, count in counts.items()}, separators=(",", ":"))


def packed(data: bytes, accepted: str) -> tuple[bytes, str]:
    """(body, Content-Encoding or empty), by the first encoding we share with the client."""
    if len(data) < _PACKED_BYTES_MIN:
        return data, ""
    offered = {name.partition(";")[0].strip().lower() for name in accepted.split(",")}
    if "zstd" in offered:
        return zstandard.ZstdCompressor(level=1).compress(data), "zstd"
    if "gzip" in offered:
        stream = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
        return stream.compress(data) + stream.flush(), "gzip"
    if "deflate" in offered:
        return zlib.compress(data, 1), "deflate"
    return data, ""
