"""The connection to ClickHouse: a real server, a cluster, or the local stand-in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DatabaseError,
    OperationalError,
)

from infra.settings import Settings
from storage.clickhouse.errors import ClickHouseAway, ClickHouseRefused

# Codes of faults that pass: timeouts, memory and load limits, too many parts, network.
_PASSING = {159, 202, 209, 210, 236, 241, 242, 252, 319, 394, 425, 999}
_CODE = re.compile(r"code: (\d+)|Code: (\d+)")


class ClickHouse:
    """Statements with parameters, and binary inserts; reconnects by itself."""

    def __init__(self, settings: Settings, *, user: str = "", password: str = "") -> None:
        self._settings = settings
        self._user = user or settings.clickhouse_user
        self._password = password or settings.clickhouse_password.get_secret_value()
        self._library: Any = None

    def rows(
        self, statement: str, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Sequence[Any]]:
        """All rows of a query; values only ever travel as parameters (`{name:Type}`)."""
        with self._connected() as library:
            result: Sequence[Sequence[Any]] = library.query(
                statement, parameters=dict(parameters or {})
            ).result_rows
            return result

    def command(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        """A statement without an answer."""
        with self._connected() as library:
            library.command(statement, parameters=dict(parameters or {}))

    def insert_bytes(
        self, table: str, columns: Sequence[str], data: bytes, data_format: str, token: str
    ) -> None:
        """Insert a block; one with a `token` that was sent before is not stored again."""
        with self._connected() as library:
            library.raw_insert(
                table,
                list(columns),
                data,
                fmt=data_format,
                settings={"insert_deduplication_token": token},
            )

    def trouble(self) -> str | None:
        """None when it answers, else one sentence (for readiness)."""
        try:
            self.rows("SELECT 1")
        except (ClickHouseAway, ClickHouseRefused) as error:
            return str(error)
        return None

    def close(self) -> None:
        if self._library is not None:
            self._library.close()
            self._library = None

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            if self._library is None:
                self._library = clickhouse_connect.get_client(
                    host=self._settings.clickhouse_host,
                    port=self._settings.clickhouse_port,
                    username=self._user,
                    password=self._password,
                    database=self._settings.clickhouse_database,
                    client_name="sagestream",
                    connect_timeout=5,
                    send_receive_timeout=120,
                    compress=False,
                    # Each statement stands alone: no session is kept on the server.
                    autogenerate_session_id=False,
                )
            yield self._library
        except (ClickHouseError, OSError) as error:
            self._library = None
            raise self._as_ours(error) from error

    def _as_ours(self, error: Exception) -> ClickHouseAway | ClickHouseRefused:
        where = f"{self._settings.clickhouse_host}:{self._settings.clickhouse_port}"
        text = str(error).splitlines()[0][:300]
        found = _CODE.search(text)
        code = int(found.group(1) or found.group(2)) if found else 0
        if isinstance(error, DatabaseError) and not isinstance(error, OperationalError):
            refused = code not in _PASSING and code != 0
        else:
            refused = code != 0 and code not in _PASSING
        if refused:
            return ClickHouseRefused(
                f"ClickHouse at {where} refused a statement: {text}",
                remedy="Check the password and run `sagestream migrate`.",
            )
        return ClickHouseAway(
            f"ClickHouse at {where} does not answer: {text}",
            remedy="Check it with `sagestream status`; the same call may succeed later.",
        )
