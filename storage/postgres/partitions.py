"""Monthly partitions: made in time, and which times they cover."""

from __future__ import annotations

from storage.postgres.errors import SchemaMismatch, translated
from storage.postgres.pool import Connection, transaction

# Half-open range of times, ms since the epoch.
Coverage = tuple[int, int]

# Months are made without gaps and named after themselves (see manage_partitions()).
_COVERAGE = """
SELECT (extract(epoch FROM min(month)) * 1000)::bigint,
       (extract(epoch FROM max(month) + interval '1 month') * 1000)::bigint
FROM (
    SELECT to_date(right(c.relname, 7), 'YYYY_MM')::timestamp AS month
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'learning_events'::regclass
) AS months
"""


def manage(connection: Connection) -> int:
    """Create the months that are missing; how many were. Any number of callers may do it."""
    with transaction(connection):
        row = connection.execute("SELECT manage_partitions()").fetchone()
    assert row is not None
    return int(row[0])


def coverage(connection: Connection) -> Coverage:
    """The event times that can be stored.

    Raises:
        SchemaMismatch: there is no partition at all.
    """
    with translated():
        row = connection.execute(_COVERAGE).fetchone()
    if row is None or row[0] is None:
        raise SchemaMismatch(
            "The table learning_events has no partitions.", remedy="Run `sagestream migrate`."
        )
    return int(row[0]), int(row[1])
