"""What can go wrong with Postgres, sorted by what the caller can do.

RetryLater
├── PostgresAway        not reachable, restarting, overloaded, out of disk, or we lost a lock race
└── OffsetsMoved        another process handled these records: read the positions again
RejectedInput
└── RowRefused          the data breaks a rule of the database: find the row, report it, go on
CannotRun
├── SchemaMismatch      tables, columns or rights are not what this release needs
└── MigrationRefused    the migrations applied are not the migrations at hand
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from infra.errors import CannotRun, RejectedInput, RetryLater


class PostgresAway(RetryLater):
    """Nothing was committed, or it is not known: the caller's offsets will tell."""


class OffsetsMoved(RetryLater):
    """The stored position is not the one this batch started from."""


class RowRefused(RejectedInput):
    """At least one row of the statement is unacceptable; `message` never quotes the row."""


class SchemaMismatch(CannotRun):
    """The database is not the one this release was written for."""


class MigrationRefused(CannotRun):
    """Applying migrations would not lead to the schema this release was tested with."""


# SQLSTATE classes (first two characters), see PostgreSQL's appendix A.
_ROW_CLASSES = {"21", "22", "23", "54"}
_SCHEMA_CLASSES = {"42", "3F", "0A", "28", "3D"}


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours; parameters and rows are never quoted."""
    try:
        yield
    except psycopg.Error as error:
        raise as_ours(error) from error
    except (UnicodeEncodeError, OverflowError) as error:
        kind = type(error).__name__
        raise RowRefused(f"A value has no form in the database ({kind}).") from error


def as_ours(error: psycopg.Error) -> PostgresAway | RowRefused | SchemaMismatch:
    """Sort one driver error."""
    state = error.sqlstate or ""
    said = error.diag.message_primary or str(error).partition("\n")[0]
    if state[:2] in _ROW_CLASSES or (not state and isinstance(error, psycopg.DataError)):
        return RowRefused(f"Postgres refused the data ({state or 'before sending'}: {said}).")
    if state[:2] in _SCHEMA_CLASSES:
        return SchemaMismatch(
            f"Postgres does not fit this release ({state}: {said}).",
            remedy="Run `sagestream migrate`, and check the user's rights.",
        )
    return PostgresAway(
        f"Postgres is not available at the moment ({state + ': ' if state else ''}{said}).",
        remedy="Check it with `sagestream status`; work goes on by itself once it is back.",
    )
