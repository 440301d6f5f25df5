"""Apply the plain-SQL migrations to ClickHouse, forward only, one statement a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from infra.settings import Settings
from storage.clickhouse.client import ClickHouse
from storage.clickhouse.errors import ClickHouseRefused
from storage.migration_files import Migration, MigrationRefused, MigrationState, load

FOLDER = Path(__file__).resolve().parents[1] / "migrations" / "clickhouse"
# Every server has it; a connection needs one that exists.
_ALWAYS_THERE = "default"
_DATABASE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32,
    name String,
    content_hash String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY version
COMMENT 'Which files of storage/migrations/clickhouse were applied, and their content'
"""
_REMEMBER = """
INSERT INTO schema_migrations (version, name, content_hash)
SELECT {version:UInt32}, {name:String}, {content_hash:String}
"""
_APPLIED = """
SELECT version, name, content_hash, applied_at FROM schema_migrations FINAL ORDER BY version
"""


def migrate(settings: Settings) -> list[str]:
    """Make the database if it is missing, then apply what is; returns the labels applied now.

    Raises:
        MigrationRefused, ClickHouseAway, ClickHouseRefused.
    """
    _make_database(settings)
    store = ClickHouse(settings)
    try:
        return apply(store)
    finally:
        store.close()


def apply(store: ClickHouse, folder: Path = FOLDER) -> list[str]:
    """Bring the database up to date.

    ClickHouse has no transaction around a definition and its row in `schema_migrations`, so every
    file holds one statement that may be repeated (IF NOT EXISTS).

    Raises:
        MigrationRefused: an applied file changed, or the database is newer than this release.
    """
    migrations = load(folder)
    store.command(_TABLE)
    known = _refuse_differences(migrations, store)
    applied = []
    for migration in migrations[known:]:
        store.command(migration.sql)
        store.command(
            _REMEMBER,
            {
                "version": migration.version,
                "name": migration.name,
                "content_hash": migration.content_hash,
            },
        )
        applied.append(migration.label)
    return applied


def status(store: ClickHouse, folder: Path = FOLDER) -> list[MigrationState]:
    """Every migration of this release and when it was applied; changes nothing.

    Raises:
        MigrationRefused: an applied file changed, or the database is newer than this release.
    """
    migrations = load(folder)
    if not store.rows("EXISTS TABLE schema_migrations")[0][0]:
        return [MigrationState(migration.label, None) for migration in migrations]
    _refuse_differences(migrations, store)
    applied_at = {version: at for version, _name, _hash, at in store.rows(_APPLIED)}
    return [MigrationState(m.label, applied_at.get(m.version)) for m in migrations]


def _make_database(settings: Settings) -> None:
    name = settings.clickhouse_database
    if not _DATABASE_NAME.fullmatch(name):
        raise ClickHouseRefused(
            f"{name!r} cannot be the name of a database.",
            remedy="Use letters, digits and _ in SAGESTREAM_CLICKHOUSE_DATABASE.",
        )
    server = ClickHouse(settings, database=_ALWAYS_THERE)
    try:
        server.command(f"CREATE DATABASE IF NOT EXISTS {name}")
    finally:
        server.close()


def _refuse_differences(migrations: Sequence[Migration], store: ClickHouse) -> int:
    """How many are applied, after comparing each with its file."""
    rows = store.rows(_APPLIED)
    for position, (version, name, content_hash, _at) in enumerate(rows):
        if position >= len(migrations) or version != migrations[position].version:
            raise MigrationRefused(
                f"ClickHouse has migration {version:04d}_{name}, which this release lacks.",
                remedy="Run the release that applied it, or a newer one.",
            )
        if content_hash != migrations[position].content_hash:
            raise MigrationRefused(
                f"The migration {migrations[position].label} changed after it was applied.",
                remedy="Put the file back as it was and add a new migration instead.",
            )
    return len(rows)
