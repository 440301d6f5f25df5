"""Records to publish, written in the transaction they belong to and published afterwards.

Order: rows get rising ids as they are written, and whoever writes about the same thing has waited
for the lock of the one before, so publishing by id keeps the order per key. One process at a time
publishes for a writer. A crash between publishing and deleting repeats records, never loses one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from infra.kafka.producer import Record
from storage.postgres.errors import translated
from storage.postgres.pool import Connection, transaction

ROWS_MAX = 2_000
BYTES_MAX = 16_000_000

_COPY = "COPY outbox (writer, topic, key, value) FROM STDIN (FORMAT BINARY)"
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('sagestream.outbox.' || %s, 0))"
_NEXT = """
SELECT id, topic, key, value
FROM (
    SELECT *, sum(octet_length(value)) OVER (ORDER BY id) - octet_length(value) AS bytes_before
    FROM (
        SELECT id, topic, key, value FROM outbox WHERE writer = %s ORDER BY id LIMIT %s
    ) AS oldest
) AS counted
WHERE bytes_before < %s
ORDER BY id
"""
_DELETE = "DELETE FROM outbox WHERE writer = %s AND id = ANY(%b)"


def add(connection: Connection, writer: str, records: Sequence[Record]) -> None:
    """Queue records in this order; part of the caller's transaction."""
    if not records:
        return
    with translated(), connection.cursor().copy(_COPY) as copy:
        copy.set_types(["text", "text", "bytea", "bytea"])
        for record in records:
            copy.write_row((writer, record.topic, record.key, record.value))


def relay(
    connection: Connection, writer: str, publish: Callable[[Sequence[Record]], None]
) -> int | None:
    """Publish the oldest rows of a writer and delete them; how many, None if it is not our turn.

    `publish` returns when every record is confirmed, and raises otherwise: then nothing is
    deleted. The connection must not be in a transaction already.
    """
    with transaction(connection):
        turn = connection.execute(_LOCK, (writer,)).fetchone()
        if turn is None or not turn[0]:
            return None
        rows = connection.execute(_NEXT, (writer, ROWS_MAX, BYTES_MAX)).fetchall()
        if rows:
            publish([Record(topic, key, value) for _id, topic, key, value in rows])
            connection.execute(_DELETE, (writer, [row[0] for row in rows]))
        return len(rows)


def waiting(connection: Connection, writer: str) -> int:
    """Rows not yet published."""
    with translated():
        row = connection.execute(
            "SELECT count(*) FROM outbox WHERE writer = %s", (writer,)
        ).fetchone()
    assert row is not None
    return int(row[0])
