"""The migration files of a store: plain SQL, numbered, never changed once applied."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from infra.errors import CannotRun

_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")


class MigrationRefused(CannotRun):
    """Files and database do not fit together; nothing was touched."""


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


def load(folder: Path) -> tuple[Migration, ...]:
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
