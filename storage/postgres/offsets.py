"""Positions in the log and the ledger, kept beside the data they account for.

A batch begins with `claim`: it locks the positions of its partitions and refuses to go on when
they are not where the caller thought. A process that was declared dead and is not (a zombie) can
therefore never store a batch a second time. It ends with `advance` in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from infra.kafka.consumer import PartitionKey
from storage.postgres.errors import OffsetsMoved, translated
from storage.postgres.pool import Connection


@dataclass(frozen=True, slots=True)
class Position:
    """First record not yet handled, and the clock of the log (ms) before it."""

    next_offset: int = 0
    watermark_ms: int | None = None


@dataclass(slots=True)
class PartitionCounts:
    """Fates of one batch's records in one partition; see the comments on `consumer_offsets`."""

    records: int = 0
    heartbeats: int = 0
    inserted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    dead_letters: int = 0
    late: int = 0

    @property
    def residue(self) -> int:
        """Records without a fate: always 0."""
        fates = self.heartbeats + self.inserted + self.duplicates
        return self.records - fates - self.conflicts - self.dead_letters


_LOAD = """
SELECT topic, partition, next_offset, watermark_ms
FROM consumer_offsets JOIN unnest(%b::text[], %b::int[]) AS wanted (topic, partition)
    USING (topic, partition)
WHERE consumer_group = %s
"""

_CLAIM = """
INSERT INTO consumer_offsets (consumer_group, topic, partition, next_offset)
SELECT %s, topic, partition, 0
FROM unnest(%b::text[], %b::int[]) AS wanted (topic, partition)
ORDER BY topic, partition
ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET updated_at = now()
RETURNING topic, partition, next_offset
"""

_ADVANCE = """
UPDATE consumer_offsets o
SET next_offset = d.next_offset, watermark_ms = d.watermark_ms,
    records = o.records + d.records, heartbeats = o.heartbeats + d.heartbeats,
    inserted = o.inserted + d.inserted, duplicates = o.duplicates + d.duplicates,
    conflicts = o.conflicts + d.conflicts, dead_letters = o.dead_letters + d.dead_letters,
    late = o.late + d.late, updated_at = now()
FROM unnest(%b::text[], %b::int[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[],
            %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[])
    AS d (topic, partition, next_offset, watermark_ms, records, heartbeats, inserted,
          duplicates, conflicts, dead_letters, late)
WHERE o.consumer_group = %s AND o.topic = d.topic AND o.partition = d.partition
"""


def load(
    connection: Connection, group: str, partitions: Iterable[PartitionKey]
) -> dict[PartitionKey, Position]:
    """Where each partition stands; the beginning for one that was never read."""
    keys = sorted(partitions)
    with translated():
        rows = connection.execute(
            _LOAD, ([topic for topic, _ in keys], [number for _, number in keys], group)
        ).fetchall()
    stored = {(row[0], row[1]): Position(row[2], row[3]) for row in rows}
    return {key: stored.get(key, Position()) for key in keys}


def claim(connection: Connection, group: str, expected: Mapping[PartitionKey, Position]) -> None:
    """Lock the positions; call it first in the transaction.

    Raises:
        OffsetsMoved: another process has handled records of these partitions.
    """
    keys = sorted(expected)
    with translated():
        rows = connection.execute(
            _CLAIM, (group, [topic for topic, _ in keys], [number for _, number in keys])
        ).fetchall()
    moved = [
        f"{topic}/{number} is at {at}, not at {expected[topic, number].next_offset}"
        for topic, number, at in rows
        if at != expected[topic, number].next_offset
    ]
    if moved:
        raise OffsetsMoved(
            f"Another process of group {group} handled these records ({moved[0]}).",
            remedy="The stored positions are read again and work goes on from there.",
        )


def advance(
    connection: Connection,
    group: str,
    steps: Mapping[PartitionKey, tuple[Position, PartitionCounts]],
) -> None:
    """Store the new positions and add the counts; call it last in the transaction."""
    keys = sorted(steps)
    entries = [steps[key] for key in keys]
    counts = [entry[1] for entry in entries]
    parameters = (
        [topic for topic, _ in keys],
        [number for _, number in keys],
        [position.next_offset for position, _ in entries],
        [position.watermark_ms for position, _ in entries],
        [count.records for count in counts],
        [count.heartbeats for count in counts],
        [count.inserted for count in counts],
        [count.duplicates for count in counts],
        [count.conflicts for count in counts],
        [count.dead_letters for count in counts],
        [count.late for count in counts],
        group,
    )
    with translated():
        connection.execute(_ADVANCE, parameters)
