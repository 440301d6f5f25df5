"""The connection to ClickHouse: a real server, a cluster, or the local stand-in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import clickhouse_connect
from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DataError,
    NotSupportedError,
    ProgrammingError,
)

from infra.settings import Settings
from storage.clickhouse.errors import ClickHouseAway, ClickHouseRefused

# Codes of faults that pass: timeouts, memory and load limits, too many parts, shutting down,
# network and Keeper troubles of a cluster.
_PASSING = {159, 202, 209, 210, 225, 236, 241, 242, 252, 279, 285, 319, 394, 425, 439, 999}
# It logs a traceback for each failure; ours are told once, in a sentence.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)

_CONNECT_TIMEOUT_S = 5
_ANSWER_TIMEOUT_S = 120
_SAID_CHARS_MAX = 300


class Column(NamedTuple):
    """One column of a block: its name, its ClickHouse type, a value for every row.

    Text is str or UTF-8 bytes; DateTime64(3) is whole milliseconds since the epoch.
    """

    name: str
    type_name: str
    values: Sequence[Any]


class ClickHouse:
    """Statements with parameters, and inserts by column; reconnects by itself, one per process."""

    def __init__(
        self, settings: Settings, *, user: str = "", password: str = "", database: str = ""
    ) -> None:
        """Nothing is sent yet. Without `user` it is the writer's account of the settings."""
        self._address = f"{settings.clickhouse_host}:{settings.clickhouse_port}"
        self._options: dict[str, Any] = {
            "host": settings.clickhouse_host,
            "port": settings.clickhouse_port,
            "username": user or settings.clickhouse_user,
            "password": password or settings.clickhouse_password.get_secret_value(),
            "database": database or settings.clickhouse_database,
            "client_name": "sagestream",
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "send_receive_timeout": _ANSWER_TIMEOUT_S,
            "compress": False,
            # Each statement stands alone: no session is kept on the server.
            "autogenerate_session_id": False,
        }
        self._connecting = threading.Lock()
        self._library: Any = None

    def rows(
        self, statement: str, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Sequence[Any]]:
        """All rows of a query; values only ever travel as parameters (`{name:Type}`).

        Raises:
            ClickHouseAway, ClickHouseRefused.
        """
        with self._connected() as library:
            result: Sequence[Sequence[Any]] = library.query(
                statement, parameters=dict(parameters or {})
            ).result_rows
            return result

    def command(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        """A statement without an answer.

        Raises:
            ClickHouseAway, ClickHouseRefused.
        """
        with self._connected() as library:
            library.command(statement, parameters=dict(parameters or {}))

    def insert(self, table: str, columns: Sequence[Column], token: str) -> None:
        """Insert one block. The same block sent again with its `token` is not stored twice.

        Raises:
            ClickHouseAway: maybe stored, maybe not: send it again with the same token.
            ClickHouseRefused.
        """
        with self._connected() as library:
            library.insert(
                table,
                [column.values for column in columns],
                column_names=[column.name for column in columns],
                column_type_names=[column.type_name for column in columns],
                column_oriented=True,
                settings={
                    "insert_deduplication_token": token,
                    # A backfill reaches back over all the months that are kept.
                    "max_partitions_per_insert_block": 0,
                },
            )

    def trouble(self) -> str | None:
        """None when it answers, else one sentence (for readiness)."""
        try:
            self.rows("SELECT 1")
        except (ClickHouseAway, ClickHouseRefused) as error:
            return str(error)
        return None

    def close(self) -> None:
        with self._connecting:
            library, self._library = self._library, None
        if library is not None:
            library.close()

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            yield self._open()
        except ClickHouseError as error:
            raise self._as_ours(error) from error
        except OSError as error:
            self.close()
            raise self._as_ours(error) from error

    def _open(self) -> Any:
        with self._connecting:
            if self._library is None:
                self._library = clickhouse_connect.get_client(**self._options)
            return self._library

    def _as_ours(self, error: Exception) -> ClickHouseAway | ClickHouseRefused:
        code = getattr(error, "code", None)
        said = str(error).partition("server response: ")[2] or _root_cause(error)
        said = " ".join(said.split())[:_SAID_CHARS_MAX]
        ours_to_mend = isinstance(error, DataError | NotSupportedError | ProgrammingError)
        if code in _PASSING or (code is None and not ours_to_mend):
            return ClickHouseAway(
                f"ClickHouse at {self._address} does not answer: {said}",
                remedy="Check it with `sagestream status`; work goes on by itself once it is back.",
            )
        return ClickHouseRefused(
            f"ClickHouse at {self._address} refused a statement: {said}",
            remedy="Check the password and run `sagestream migrate`.",
        )


def _root_cause(error: BaseException) -> str:
    """The first thing that went wrong, in the system's words where it has some."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return getattr(error, "strerror", None) or str(error)
