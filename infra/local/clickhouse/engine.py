"""The embedded ClickHouse engine: one folder, one process, a connection for each statement."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chdb

from infra.errors import CannotRun
from infra.local.clickhouse.errors import EngineError
from infra.local.clickhouse.statement import Insert, split_insert
from infra.local.clickhouse.users import ANALYST_LIMITS, User

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch
READONLY_ON_GET = "2"


@dataclass(frozen=True, slots=True)
class Result:
    """Bytes in the asked format, and what the engine counted."""

    data: bytes
    rows_read: int
    bytes_read: int
    rows_written: int
    elapsed_s: float


class Engine:
    """Statements run in parallel, each on a connection with settings of its own."""

    def __init__(self, folder: Path, database: str) -> None:
        """Raises CannotRun when another process owns the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = (folder.parent / f"{folder.name}.lock").open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotRun(
                f"Another process uses the ClickHouse data in {folder}.",
                remedy="Stop it with `sagestream down`, or choose another SAGESTREAM_HOME.",
            ) from None
        self._path = str(folder)
        # Held open so that the engine stays loaded between statements.
        self._keeper: Any = chdb.connect(self._path)  # type: ignore[no-untyped-call]
        if not _NAME(database):
            raise CannotRun(
                f"{database!r} is not a database name.", remedy="Use letters, digits and _."
            )
        self._keeper.query(f"CREATE DATABASE IF NOT EXISTS {database}")
        self.version = self._text("SELECT version()")
        self.timezone = self._text("SELECT timezone()")

    def run(
        self,
        statement: bytes,
        *,
        output_format: str,
        user: User,
        database: str,
        settings: Mapping[str, str],
        parameters: Mapping[str, str],
        read_only: bool,
    ) -> Result:
        """Run one statement.

        Raises:
            EngineError: the engine refused it.
        """
        connection: Any = chdb.connect(self._path)  # type: ignore[no-untyped-call]
        try:
            self._prepare(connection, user, database, settings, read_only)
            insert = split_insert(statement, output_format)
            if insert is not None:
                return _insert(connection, insert)
            text = statement.decode("utf-8", "replace")
            found = connection.query(text, output_format, params=dict(parameters) or None)
            return Result(
                bytes(found.bytes() or b""),
                found.storage_rows_read(),
                found.storage_bytes_read(),
                found.rows_written(),
                found.elapsed(),
            )
        except EngineError:
            raise
        except Exception as error:
            raise EngineError.from_engine(error) from None
        finally:
            with suppress(Exception):
                connection.close()

    def close(self) -> None:
        self._keeper.close()
        self._lock_file.close()

    def _prepare(
        self,
        connection: Any,
        user: User,
        database: str,
        settings: Mapping[str, str],
        read_only: bool,
    ) -> None:
        if not _NAME(database):
            raise EngineError(81, f"Database {database[:64]!r} does not exist.")
        connection.query(f"USE {database}")
        wanted = dict(settings)
        if user.read_only:
            wanted.pop("readonly", None)
            for name, limit in ANALYST_LIMITS.items():
                wanted[name] = str(_lower(wanted.get(name), limit))
        if wanted:
            connection.query("SET " + ", ".join(f"{n} = {_literal(v)}" for n, v in wanted.items()))
        if user.read_only:
            connection.query("SET readonly = 1")
        elif read_only:
            connection.query(f"SET readonly = {READONLY_ON_GET}")

    def _text(self, statement: str) -> str:
        return str(self._keeper.query(statement, "TabSeparatedRaw").bytes().decode().strip())


def _insert(connection: Any, insert: Insert) -> Result:
    """Inline data goes in as a stream: within a statement the engine ends it at an empty line."""
    with connection.send_insert(insert.head, insert.input_format) as stream:
        stream.append(insert.data)
        done = stream.finish()
    return Result(b"", 0, 0, done.rows_written, done.elapsed)


def setting_name(name: str) -> str:
    """Raises EngineError when it cannot be the name of a setting."""
    if not _NAME(name):
        raise EngineError(115, f"Unknown setting {name[:64]!r}")
    return name


def _lower(asked: str | None, limit: int) -> int:
    """What was asked for where it is a smaller positive number, else the limit."""
    with suppress(ValueError):
        number = int(asked or "0")
        if 0 < number < limit:
            return number
    return limit


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
