"""Apply the plain-SQL migrations to ClickHouse, forward only, one statement a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infra.settings import Settings
from storage.clickhouse.client import ClickHouse
from storage.migration_files import Migration, MigrationRefused, MigrationState, load

FOLDER = Path(__file__).resolve().parents[1] / "migrations" / "clickhouse"

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
"""
_REMEMBER = """
INSERT INTO schema_migrations (version, name, content_hash)
SELECT {version:UInt32}, {name:String}, {content_hash:String}
"""
_APPLIED = "SELECT version, content_hash, applied_at FROM schema_migrations FINAL ORDER BY version"


def migrate(settings: Settings) -> list[str]:
    """Apply what is missing; returns the labels applied now, in order."""
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
    """Every migration of this release and when it was applied."""
    store.command(_TABLE)
    applied_at = {version: at for version, _hash, at in store.rows(_APPLIED)}
    return [MigrationState(m.label, applied_at.get(m.version)) for m in load(folder)]


def _refuse_differences(migrations: Sequence[Migration], store: ClickHouse) -> int:
    """How many are applied already."""
    rows = store.rows(_APPLIED)
    if len(rows) > len(migrations):
        raise MigrationRefused(
            f"ClickHouse has {len(rows)} migrations, this release knows {len(migrations)}.",
            remedy="Start the newer release of Sagestream that made them.",
        )
    for migration, (_version, content_hash, _at) in zip(migrations, rows, strict=False):
        if content_hash != migration.content_hash:
            raise MigrationRefused(
                f"The migration {migration.label} changed after it was applied.",
                remedy="Put the file back as it was and add a new migration instead.",
            )
    return len(rows)
