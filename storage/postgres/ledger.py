"""The books of a consumer: what became of every record it was given.

Each figure is a sum over partitions of counters that were written in the same transaction as the
rows they count, so they hold at every moment, after any crash.
"""

from __future__ import annotations

from dataclasses import dataclass

from storage.postgres.errors import translated
from storage.postgres.pool import Connection


@dataclass(frozen=True, slots=True)
class Ledger:
    """Sums over the partitions of a group; all but `residue` are counts of records."""

    next_offsets: int
    records: int
    heartbeats: int
    inserted: int
    duplicates: int
    conflicts: int
    dead_letters: int
    late: int

    @property
    def residue(self) -> int:
        """Records that were read but have no fate: 0, or the store has lost some."""
        fates = self.heartbeats + self.inserted + self.duplicates
        return self.records - fates - self.conflicts - self.dead_letters


_SUMS = """
SELECT coalesce(sum(next_offset), 0)::bigint, coalesce(sum(records), 0)::bigint,
       coalesce(sum(heartbeats), 0)::bigint, coalesce(sum(inserted), 0)::bigint,
       coalesce(sum(duplicates), 0)::bigint, coalesce(sum(conflicts), 0)::bigint,
       coalesce(sum(dead_letters), 0)::bigint, coalesce(sum(late), 0)::bigint
FROM consumer_offsets WHERE consumer_group = %s
"""


def read(connection: Connection, group: str) -> Ledger:
    """The books of one consumer group, e.g. `event-writer`; zeros before its first batch."""
    with translated():
        row = connection.execute(_SUMS, (group,)).fetchone()
    assert row is not None
    return Ledger(*row)
