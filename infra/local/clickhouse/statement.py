"""Look at a statement without parsing it: what a server would refuse and the engine would not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from infra.local.clickhouse.errors import EngineError

_LITERALS_AND_COMMENTS = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`
    |--[^\n]*|\#[!\ ][^\n]*|/\*.*?\*/""",
    re.DOTALL | re.VERBOSE,
)
_SECOND_STATEMENT = re.compile(r";\s*\S")
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_INSERT = re.compile(r"\s*(?:/\*.*?\*/\s*)*INSERT\b", re.IGNORECASE | re.DOTALL)
# The end of an insert's statement and the start of its data.
_INSERT_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)[ \t]*;?[ \t]*(?:\r?\n|$)", re.IGNORECASE)
_INSERT_VALUES = re.compile(rb"\bVALUES\b", re.IGNORECASE)
_SELECTS = re.compile(r"\b(?:SELECT|WITH)\b", re.IGNORECASE)
# The engine runs inside this process: these would end it, or leave the data folder.
_FORBIDDEN = re.compile(
    r"^\s*(?:SYSTEM\s+(?:SHUTDOWN|KILL|SUSPEND|START\s+LISTEN|STOP\s+LISTEN)|BACKUP|RESTORE)\b",
    re.IGNORECASE,
)
_OUTSIDE = re.compile(
    r"\b(?:file|fileCluster|url|urlCluster|s3|s3Cluster|gcs|hdfs|remote|remoteSecure|cluster|"
    r"clusterAllReplicas|mysql|postgresql|mongodb|redis|sqlite|jdbc|odbc|executable|azureBlobStorage|"
    r"iceberg\w*|deltaLake\w*|hudi|python|input|ytsaurus|arrowFlight)\s*\(|\bINTO\s+OUTFILE\b",
    re.IGNORECASE,
)
_HEAD_BYTES_MAX = 262_144


def bare(sql: str) -> str:
    """The statement without literals, quoted names and comments."""
    return _LITERALS_AND_COMMENTS.sub(" '' ", sql)


def check(head: str, *, trusted: bool) -> None:
    """Refuse what no server would run for this user.

    Raises:
        EngineError: several statements, an end of the process, or, for users who may only read
            tables, a function that reaches files or the network.
    """
    plain = bare(head)
    if _SECOND_STATEMENT.search(plain):
        raise EngineError(62, "Multi-statements are not allowed: send one statement a request.")
    if _FORBIDDEN.search(plain):
        raise EngineError(
            497, "Not allowed: this statement would end or leave the embedded engine."
        )
    if not trusted and _OUTSIDE.search(plain):
        raise EngineError(
            497, "Not enough privileges: this user reads tables only, not files or addresses."
        )


def is_insert(sql: str) -> bool:
    return _INSERT.match(sql) is not None


def output_format(sql: str, default: str) -> str:
    """The format named at the end of the statement, else the default."""
    named = _FORMAT.search(bare(sql[-4_096:]))
    return named.group(1) if named else default


@dataclass(frozen=True, slots=True)
class Insert:
    """An insert that brings its data: `head` ends before the FORMAT or VALUES word."""

    head: str
    input_format: str
    data: bytes


def split_insert(statement: bytes, default_format: str) -> Insert | None:
    """The parts of an insert with inline data; None for anything else (INSERT … SELECT too)."""
    start = statement[:_HEAD_BYTES_MAX]
    if not is_insert(start[:256].decode("utf-8", "replace")):
        return None
    found = _INSERT_FORMAT.search(start)
    values = _INSERT_VALUES.search(start, 0, found.start() if found else len(start))
    if values is not None:
        head = start[: values.start()].decode("utf-8", "replace")
        return Insert(head, "Values", statement[values.end() :])
    if found is not None:
        head = start[: found.start()].decode("utf-8", "replace")
        if not _SELECTS.search(bare(head)):
            return Insert(head, found.group(1).decode(), statement[found.end() :])
        return None
    # Neither word: the data, if any, follows the statement's line in the default format.
    head_line, _, data = statement.lstrip().partition(b"\n")
    if data and not _SELECTS.search(bare(start.decode("utf-8", "replace"))):
        return Insert(head_line.decode("utf-8", "replace"), default_format, data)
    return None


def head_of(statement: bytes, default_format: str) -> str:
    """The statement as text, without an insert's data."""
    insert = split_insert(statement, default_format)
    return insert.head if insert else statement.decode("utf-8", "replace")
