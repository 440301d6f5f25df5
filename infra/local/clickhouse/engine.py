"""The embedded engine: owns the data folder, runs statements, takes inserts as a stream.

Every statement gets a connection of its own (a fraction of a millisecond), so settings never leak
from one request into another and statements run side by side; the engine's calls let other
threads run meanwhile.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from infra.local.clickhouse.engine_config import write_config
from infra.local.clickhouse.errors import (
    ClickHouseError,
    EngineFailed,
    FolderInUse,
    FolderUnsuitable,
    engine_error,
)
from infra.local.clickhouse.limits import Limits
from infra.local.clickhouse.request import Query


@dataclass(frozen=True, slots=True)
class Outcome:
    """A statement's result bytes and what it cost."""

    data: bytes = b""
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    elapsed_s: float = 0.0


class Engine:
    """One engine on one folder; a second one in any process is refused."""

    def __init__(self, folder: Path, database: str, limits: Limits) -> None:
        """Start the engine and make `database` if it is new.

        Raises:
            FolderInUse: another process holds the folder. FolderUnsuitable, EngineFailed.
        """
        self._lock = _hold(folder)
        connection_string = write_config(folder, limits)
        # Imported late: loading the engine takes most of a second and 200 MB.
        from chdb import _chdb

        self._connection_string = connection_string
        self._connect: Callable[[str], Any] = _chdb.connect  # type: ignore[attr-defined]
        try:
            self._root: Any = self._connect(connection_string)
            self._root.query(_bytes(f"CREATE DATABASE IF NOT EXISTS {_identifier(database)}"))
            told = self._root.query("SELECT version(), timezone(), hostName()", "TabSeparated")
        except RuntimeError as error:
            raise EngineFailed(
                f"The ClickHouse engine does not start on {folder}: {error}",
                remedy="Move the folder away to begin with an empty one, or restore a backup.",
            ) from error
        self.version, self.timezone, self.host_name = told.bytes().decode().strip().split("\t")

    def run(self, query: Query, text: bytes) -> Outcome:
        """Run a statement that brings all it needs with it.

        Raises:
            ClickHouseError: as the engine says it.
        """
        connection = self._prepared(query)
        try:
            result = connection.query(text, query.default_format)
            return Outcome(
                data=result.bytes(),
                read_rows=result.storage_rows_read(),
                read_bytes=result.storage_bytes_read(),
                written_rows=result.rows_written(),
                written_bytes=result.bytes_written(),
                result_rows=result.rows_read(),
                elapsed_s=result.elapsed(),
            )
        except (RuntimeError, UnicodeDecodeError) as error:
            raise engine_error(_words(error), query.account.name) from None
        finally:
            connection.close()

    def insert(
        self, query: Query, head: bytes, data_format: str, pieces: Iterable[bytes]
    ) -> Outcome:
        """Run an INSERT whose data comes in pieces; memory stays bounded.

        Raises:
            ClickHouseError: as the engine says it; whatever `pieces` raises, after cancelling.
        """
        connection = self._prepared(query)
        try:
            stream = connection.send_insert(head.decode("utf-8"), data_format)
        except (RuntimeError, UnicodeDecodeError) as error:
            connection.close()
            raise engine_error(_words(error), query.account.name) from None
        try:
            self._feed(connection, stream, pieces)
            result = connection.insert_done(stream)
            return Outcome(
                written_rows=result.rows_written(),
                written_bytes=result.bytes_written(),
                elapsed_s=result.elapsed(),
            )
        except (RuntimeError, UnicodeDecodeError) as error:
            raise engine_error(_words(error), query.account.name) from None
        finally:
            connection.close()

    @staticmethod
    def _feed(connection: Any, stream: Any, pieces: Iterable[bytes]) -> None:
        try:
            for piece in pieces:
                try:
                    connection.insert_append(stream, piece)
                except RuntimeError:
                    # The engine has given up; insert_done tells why.
                    return
        except BaseException:
            connection.insert_cancel(stream)
            raise

    def _prepared(self, query: Query) -> Any:
        """A connection with the request's settings; read-only is set last, so it binds."""
        try:
            connection = self._connect(self._connection_string)
        except RuntimeError as error:
            raise engine_error(_words(error), query.account.name) from None
        try:
            assignments = [(f"param_{name}", value) for name, value in query.parameters.items()]
            assignments += [(n, v) for n, v in query.settings.items() if n != "readonly"]
            if assignments:
                joined = ", ".join(f"{name} = {_literal(value)}" for name, value in assignments)
                connection.query(_bytes(f"SET {joined}"), "Null")
            if query.database:
                connection.query(_bytes(f"USE {_identifier(query.database)}"), "Null")
            if query.readonly:
                connection.query(f"SET readonly = {query.readonly}", "Null")
        except (RuntimeError, UnicodeDecodeError) as error:
            connection.close()
            raise engine_error(_words(error), query.account.name) from None
        return connection

    def stop_statements(self) -> None:
        """Ask every running statement to end with an error."""
        connection = self._connect(self._connection_string)
        try:
            connection.query("KILL QUERY WHERE query NOT LIKE 'KILL QUERY%' ASYNC", "Null")
        except RuntimeError as error:
            raise ClickHouseError(1001, "STD_EXCEPTION", _words(error)) from None
        finally:
            connection.close()

    def close(self) -> None:
        """Stop the engine; every accepted insert lies on disk already."""
        self._root.close()
        self._lock.close()


def _hold(folder: Path) -> IO[str]:
    """The lock of the folder, held until closed or until this process ends, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise FolderUnsuitable(
            f"The folder {folder} cannot be used ({error.strerror}).",
            remedy="Mend its rights, or choose another: set SAGESTREAM_HOME.",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read(20).strip() or "unknown"
        lock.close()
        raise FolderInUse(
            f"The folder {folder} is in use by the process {holder}.",
            remedy="Stop that process (`sagestream down`), or choose another SAGESTREAM_HOME.",
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _words(error: Exception) -> str:
    """The engine's text; it may quote bytes that are no UTF-8."""
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode("utf-8", "replace")
    return str(error).removeprefix("Failed to create connection: ")


def _literal(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _identifier(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
