"""ClickHouse migrations: forward only, never changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from storage.clickhouse import migrate
from storage.clickhouse.client import ClickHouse
from storage.migration_files import MigrationRefused


class Store:
    """Remembers statements and the rows of schema_migrations."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.applied: list[tuple[int, str, str, datetime]] = []
        self.fail_at = ""

    def command(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        if self.fail_at and self.fail_at in statement:
            raise RuntimeError("killed")
        self.statements.append(statement)
        if parameters:
            self.applied.append(
                (
                    parameters["version"],
                    parameters["name"],
                    parameters["content_hash"],
                    datetime(2026, 1, 1, tzinfo=UTC),
                )
            )

    def rows(self, statement: str) -> Sequence[Sequence[Any]]:
        if statement.startswith("EXISTS"):
            return [[1 if self.statements else 0]]
        return self.applied


@pytest.fixture
def store() -> Store:
    return Store()


def as_client(store: Store) -> ClickHouse:
    return cast("ClickHouse", store)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE IF NOT EXISTS a")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE IF NOT EXISTS b")
    return tmp_path


def test_each_file_is_applied_once(store: Store, folder: Path) -> None:
    assert migrate.apply(as_client(store), folder) == ["0001_first", "0002_second"]
    assert migrate.apply(as_client(store), folder) == []


def test_a_runner_that_died_is_continued(store: Store, folder: Path) -> None:
    store.fail_at = "EXISTS b"
    with pytest.raises(RuntimeError):
        migrate.apply(as_client(store), folder)
    store.fail_at = ""
    assert migrate.apply(as_client(store), folder) == ["0002_second"]


def test_a_changed_file_is_refused_before_anything_is_applied(store: Store, folder: Path) -> None:
    migrate.apply(as_client(store), folder)
    (folder / "0001_first.sql").write_text("CREATE TABLE IF NOT EXISTS a2")
    (folder / "0003_third.sql").write_text("CREATE TABLE IF NOT EXISTS c")
    with pytest.raises(MigrationRefused, match="0001_first changed"):
        migrate.apply(as_client(store), folder)
    assert len(store.applied) == 2


def test_a_newer_database_is_refused(store: Store, folder: Path) -> None:
    migrate.apply(as_client(store), folder)
    (folder / "0002_second.sql").unlink()
    with pytest.raises(MigrationRefused, match="0002_second, which this release lacks"):
        migrate.apply(as_client(store), folder)


def test_status_changes_nothing(store: Store, folder: Path) -> None:
    states = migrate.status(as_client(store), folder)
    assert [state.applied_at for state in states] == [None, None]
    assert store.statements == []


def test_shipped_migrations_are_single_repeatable_statements() -> None:
    for path in sorted(migrate.FOLDER.glob("*.sql")):
        text = re.sub(r"--[^\n]*|'[^']*'", "", path.read_text())
        assert ";" not in text, path.name
        assert "IF NOT EXISTS" in text, path.name
