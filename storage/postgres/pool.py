"""Connections. Only this package imports the driver; others name its types from here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from pgvector.psycopg import register_vector
from psycopg_pool import ConnectionPool, PoolTimeout

from storage.postgres.errors import PostgresAway, translated

Connection = psycopg.Connection[tuple[Any, ...]]

# Bounds how long a stuck statement, an idle transaction or a dead network can hold things up.
_SESSION_OPTIONS = "-c timezone=UTC -c statement_timeout={statement_timeout_ms} -c jit=off"
_KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def connect(
    dsn: str,
    *,
    name: str,
    statement_timeout_ms: int = 60_000,
    vectors: bool = False,
    replayable: bool = False,
) -> Connection:
    """One connection, outside any pool; `name` shows in pg_stat_activity.

    Every statement is its own transaction unless it runs inside `transaction(connection)`.

    `vectors`: numpy arrays of float32 can be sent and received.
    `replayable`: a commit does not wait for the disk. Only for writers that keep their position
    in the log in the same transaction: what a dying server forgets is simply read again.

    Raises:
        PostgresAway: it cannot be reached.
    """
    with translated():
        connection = psycopg.connect(
            dsn, autocommit=True, **_parameters(name, statement_timeout_ms)
        )
        if vectors:
            register_vector(connection)
        if replayable:
            connection.execute("SET synchronous_commit = off")
        return connection


@contextmanager
def transaction(connection: Connection, *, force_rollback: bool = False) -> Iterator[None]:
    """All or nothing; with `force_rollback` nothing, whatever happens.

    Raises:
        PostgresAway: also when the commit's answer was lost, so that it may have succeeded.
    """
    with translated(), connection.transaction(force_rollback=force_rollback):
        yield


class Pool:
    """A few connections shared by threads; opens at once, connects when first needed.

    With `vectors`, numpy arrays of float32 can be sent and received. With `plan_once`, a prepared
    statement is planned at its first use only: planning over 32 partitions costs more than running.
    """

    def __init__(
        self,
        dsn: str,
        *,
        name: str,
        connections_max: int = 4,
        wait_s: float = 5.0,
        statement_timeout_ms: int = 60_000,
        vectors: bool = False,
        plan_once: bool = False,
    ) -> None:
        parameters = _parameters(name, statement_timeout_ms)
        if plan_once:
            parameters["options"] += " -c plan_cache_mode=force_generic_plan"
        self._library: ConnectionPool[Connection] = ConnectionPool(
            dsn,
            kwargs=parameters,
            min_size=0,
            max_size=connections_max,
            timeout=wait_s,
            max_idle=300,
            reconnect_timeout=wait_s,
            # An idle connection may have died with its server; asking first costs 50 µs.
            check=ConnectionPool.check_connection,
            configure=register_vector if vectors else None,
            open=True,
        )

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in a transaction: commits at the end, rolls back on an exception.

        Raises:
            PostgresAway: none is free or it cannot be reached; or one of `translated`'s errors.
        """
        with translated():
            try:
                with self._library.connection() as connection:
                    yield connection
            except PoolTimeout as error:
                raise PostgresAway(
                    "Postgres gave no connection in time.",
                    remedy="Check it with `sagestream status`; the same call may succeed later.",
                ) from error

    def trouble(self) -> str | None:
        """None when a statement succeeds, else one sentence (for readiness)."""
        try:
            with self.connection() as connection:
                connection.execute("SELECT 1")
        except PostgresAway as away:
            return str(away)
        return None

    def close(self) -> None:
        self._library.close()


def _parameters(name: str, statement_timeout_ms: int) -> dict[str, Any]:
    return {
        "application_name": f"sagestream-{name}",
        "options": _SESSION_OPTIONS.format(statement_timeout_ms=statement_timeout_ms),
        **_KEEPALIVE,
    }
