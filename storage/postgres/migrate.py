"""Apply the plain-SQL migrations, forward only.

A file is applied once, in its own transaction, and remembered with the SHA-256 of its text. A file
that changed after it was applied, or a database that knows more than this release, is refused
before anything is touched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from infra.settings import Settings
from storage.postgres.errors import MigrationRefused, translated
from storage.postgres.pool import Connection, connect, transaction

FOLDER = Path(__file__).resolve().parents[1] / "migrations" / "postgres"
_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")
_LOCK = "sagestream.migrations"
_STATEMENT_TIMEOUT_MS = 600_000

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version      integer     PRIMARY KEY,
    name         text        NOT NULL,
    content_hash text        NOT NULL,
    applied_at   timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of the folder."""

    version: int
    name: str
    sql: str

    @property
    def content_hash(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def label(self) -> str:
        return f"{self.version:04d}_{self.name}"


@dataclass(frozen=True, slots=True)
class MigrationState:
    """A migration and when it was applied; None = still to come."""

    label: str
    applied_at: datetime | None


def load(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """Every migration of the folder, in order.

    Raises:
        MigrationRefused: a file name is not `NNNN_name.sql`, or the numbers have a gap.
    """
    migrations = []
    for expected, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None or int(match["version"]) != expected:
            raise MigrationRefused(
                f"The migration {path.name} should be number {expected:04d}.",
                remedy="Name migrations NNNN_name.sql, counting from 0001 without gaps.",
            )
        migrations.append(Migration(expected, match["name"], path.read_text(encoding="utf-8")))
    return tuple(migrations)


def apply(dsn: str, folder: Path = FOLDER) -> list[str]:
    """Bring the database up to date; returns the labels applied now, in order.

    Runners that start together take turns; a runner that is killed leaves whole migrations only.

    Raises:
        MigrationRefused: what is applied is not what is in the folder. PostgresAway.
        SchemaMismatch, RowRefused: a migration failed; it and all after it are not applied.
    """
    migrations = load(folder)
    with (
        connect(dsn, name="migrate", statement_timeout_ms=_STATEMENT_TIMEOUT_MS) as connection,
        translated(),
    ):
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (_LOCK,))
        connection.execute(_TABLE)
        done = _refuse_differences(migrations, connection)
        applied = []
        for migration in migrations[done:]:
            with transaction(connection):
                connection.execute(migration.sql.encode())
                connection.execute(
                    "INSERT INTO schema_migrations (version, name, content_hash)"
                    " VALUES (%s, %s, %s)",
                    (migration.version, migration.name, migration.content_hash),
                )
            applied.append(migration.label)
        return applied


def migrate(settings: Settings) -> list[str]:
    """`apply` to the database of the settings."""
    return apply(settings.postgres_dsn)


def status(dsn: str, folder: Path = FOLDER) -> list[MigrationState]:
    """Every migration of the folder with its time; changes nothing.

    Raises:
        MigrationRefused: what is applied is not what is in the folder. PostgresAway.
    """
    migrations = load(folder)
    with connect(dsn, name="migrate") as connection, translated():
        row = connection.execute("SELECT to_regclass('schema_migrations')").fetchone()
        if row is None or row[0] is None:
            return [MigrationState(migration.label, None) for migration in migrations]
        _refuse_differences(migrations, connection)
        times: dict[int, datetime] = dict(
            connection.execute("SELECT version, applied_at FROM schema_migrations").fetchall()
        )
        return [MigrationState(m.label, times.get(m.version)) for m in migrations]


def _refuse_differences(migrations: Sequence[Migration], connection: Connection) -> int:
    """How many are applied, after comparing each with its file."""
    rows = connection.execute(
        "SELECT version, name, content_hash FROM schema_migrations ORDER BY version"
    ).fetchall()
    for position, (version, name, content_hash) in enumerate(rows):
        if position >= len(migrations) or version != migrations[position].version:
            raise MigrationRefused(
                f"The database has migration {version:04d}_{name}, which this release lacks.",
                remedy="Run the release that applied it, or a newer one.",
            )
        if content_hash != migrations[position].content_hash:
            raise MigrationRefused(
                f"The migration {migrations[position].label} was changed after it was applied.",
                remedy="Restore the file, and put the change into a new migration.",
            )
    return len(rows)
