"""The table of records that nobody could use."""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.events.dead_letter import DeadLetter
from storage.postgres.errors import translated
from storage.postgres.pool import Connection

# A record that is read twice is one dead letter.
_ADD = """
INSERT INTO dead_letters (topic, partition, offset_, reason, detail, raw, client_id, event_id, at)
SELECT topic, partition, offset_, reason, detail, raw, client_id, event_id,
       'epoch'::timestamptz + at_ms * interval '1 millisecond'
FROM unnest(%b::text[], %b::int[], %b::bigint[], %b::text[], %b::text[], %b::bytea[],
            %b::text[], %b::text[], %b::bigint[])
    AS letter (topic, partition, offset_, reason, detail, raw, client_id, event_id, at_ms)
ON CONFLICT DO NOTHING
"""


def add(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Keep the letters; part of the caller's transaction. Texts must be free of NUL."""
    if not letters:
        return
    columns = (
        [letter.topic for letter in letters],
        [letter.partition for letter in letters],
        [letter.offset for letter in letters],
        [letter.reason for letter in letters],
        [letter.detail for letter in letters],
        [letter.raw for letter in letters],
        [letter.client_id for letter in letters],
        [letter.event_id for letter in letters],
        [letter.at_ms for letter in letters],
    )
    with translated():
        connection.execute(_ADD, columns)
