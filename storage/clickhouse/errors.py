"""Errors of the ClickHouse store, by what the caller can do.

SagestreamError
├── ClickHouseAway (RetryLater)        no answer, or a passing fault: try again, nothing was lost
├── ClickHouseRefused (CannotRun)      wrong password, wrong statement, wrong schema: mend it
└── MigrationRefused (CannotRun)       see storage.migration_files
"""

from __future__ import annotations

from infra.errors import CannotRun, RetryLater


class ClickHouseAway(RetryLater):
    """The server cannot be reached, or is too busy now."""


class ClickHouseRefused(CannotRun):
    """The server understood and said no."""
