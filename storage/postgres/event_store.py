"""The statements of the event writer: stage, claim identities, insert, exchange, mark windows.

All of them run inside the caller's transaction and on one connection, which keeps the staging
table. The order of locks is the same in every process: identities by (client_id, event_id), then
the generation lock, so writers can wait for each other but never in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ingestion.events.canonical import canonical_json
from storage.postgres.errors import translated
from storage.postgres.pool import Connection
from storage.postgres.window_events import Window

# PostgreSQL counts microseconds from 2000-01-01; the binary form of COPY wants them so.
_PG_EPOCH_MS = 946_684_800_000
_PLACE_BITS = 48


class EventRow(NamedTuple):
    """One event to store. Times in ms; `event_data` is JSON text; place = where it lies in Kafka.

    `ord` numbers the rows of a batch.
    """

    ord: int
    event_time: int
    received_at: int
    client_id: str
    event_id: str
    session_id: str
    user_id: str | None
    event_type: str
    body_hash: str
    processing_status: str
    industry: str | None
    campaign_type: str | None
    success: bool | None
    success_score: float | None
    event_data: bytes
    partition: int
    offset: int


class StoredCopy(NamedTuple):
    """The copy of an identity that is (or was) in the store."""

    body_hash: str
    event_time: int
    session_id: str
    partition: int
    offset: int


class Claims(NamedTuple):
    """What `claim_identities` found, by `ord`; an ord in neither map is a new identity."""

    replaced: dict[int, StoredCopy]
    outranked: dict[int, StoredCopy]


_STAGE_TABLE = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged_events (
    ord integer, event_time timestamptz, event_time_ms bigint, received_at timestamptz,
    client_id varchar(50), event_id varchar(64), session_id varchar(100), user_id varchar(50),
    event_type varchar(50), body_hash varchar(32), processing_status varchar(20),
    industry varchar(100), campaign_type varchar(100), success boolean,
    success_score double precision, event_data jsonb, partition integer, offset_ bigint
) ON COMMIT DELETE ROWS
"""
_STAGE = "COPY staged_events FROM STDIN (FORMAT BINARY)"
# bytea and jsonb differ on the wire by one leading byte, the version of the form.
_STAGE_TYPES = (
    ["int4", "int8", "int8", "int8"] + ["varchar"] * 9 + ["bool", "float8", "bytea", "int4", "int8"]
)
_JSONB_VERSION = b"\x01"

_CLAIM = """
WITH claimed AS (
    INSERT INTO event_identities AS i
        (event_time_ms, offset_, partition, client_id, event_id, body_hash, session_id)
    SELECT event_time_ms, offset_, partition, client_id, event_id, body_hash, session_id
    FROM staged_events
    ORDER BY client_id, event_id
    ON CONFLICT (client_id, event_id) DO UPDATE
        SET event_time_ms = excluded.event_time_ms, offset_ = excluded.offset_,
            partition = excluded.partition, body_hash = excluded.body_hash,
            session_id = excluded.session_id
        WHERE (excluded.body_hash, excluded.event_time_ms) < (i.body_hash, i.event_time_ms)
    RETURNING (new.partition::bigint << 48) | new.offset_ AS place,
        old.body_hash AS h, old.event_time_ms AS t, old.session_id AS s,
        old.partition AS p, old.offset_ AS o
)
SELECT array_agg(place),
    array_agg(place) FILTER (WHERE h IS NOT NULL),
    array_agg(h) FILTER (WHERE h IS NOT NULL), array_agg(t) FILTER (WHERE h IS NOT NULL),
    array_agg(s) FILTER (WHERE h IS NOT NULL), array_agg(p) FILTER (WHERE h IS NOT NULL),
    array_agg(o) FILTER (WHERE h IS NOT NULL)
FROM claimed
"""
_OUTRANKED = """
SELECT s.ord, i.body_hash, i.event_time_ms, i.session_id, i.partition, i.offset_
FROM staged_events s JOIN event_identities i USING (client_id, event_id)
WHERE s.ord = ANY(%b)
"""
_INSERT = """
INSERT INTO learning_events
    (event_time, event_time_ms, received_at, client_id, event_id, session_id, user_id, event_type,
     body_hash, processing_status, industry, campaign_type, success, success_score, event_data)
SELECT event_time, event_time_ms, received_at, client_id, event_id, session_id, user_id, event_type,
     body_hash, processing_status, industry, campaign_type, success, success_score, event_data
FROM staged_events
"""
_WITHOUT = "WHERE ord <> ALL(%b)"
_TAKE_AWAY = """
DELETE FROM learning_events l
WHERE event_time = 'epoch'::timestamptz + %s * interval '1 millisecond'
    AND client_id = %s AND event_id = %s
RETURNING jsonb_strip_nulls(jsonb_build_object(
    'v', 1, 'event_id', event_id, 'client_id', client_id, 'session_id', session_id,
    'user_id', user_id, 'event_type', event_type, 'event_time', event_time_ms,
    'received_at', (extract(epoch FROM received_at) * 1000)::bigint, 'body_hash', body_hash,
    'industry', industry, 'campaign_type', campaign_type, 'success', success,
    'success_score', success_score)) || jsonb_build_object('event_data', event_data)
"""

_GENERATION_LOCK = "hashtextextended('sagestream.window_generations', 0)"
_LOCK_TO_READ = f"SELECT pg_advisory_xact_lock_shared({_GENERATION_LOCK})"
_LOCK_TO_RAISE = f"SELECT pg_advisory_xact_lock({_GENERATION_LOCK})"
_RAISE = """
INSERT INTO window_generations AS g (window_start, client_id, session_id, generation)
SELECT 'epoch'::timestamptz + start_ms * interval '1 millisecond', client_id, session_id, 1
FROM unnest(%b::text[], %b::text[], %b::bigint[]) AS w (client_id, session_id, start_ms)
ORDER BY 2, 3, 1
ON CONFLICT (client_id, session_id, window_start) DO UPDATE SET generation = g.generation + 1
"""
_IN_RAISED = """
SELECT s.ord
FROM staged_events s JOIN window_generations g
    ON g.client_id = s.client_id AND g.session_id = s.session_id
    AND g.window_start = date_bin('5 minutes', s.event_time, 'epoch'::timestamptz)
"""


def open_staging(connection: Connection) -> None:
    """Make the connection fit for this module; once per connection, outside a transaction."""
    with translated():
        connection.execute(_STAGE_TABLE)


def stage(connection: Connection, rows: Iterable[EventRow]) -> None:
    """Send rows to the staging table.

    Raises:
        RowRefused: a row has no form in the database (NUL, a number too large, broken JSON).
    """
    with translated(), connection.cursor().copy(_STAGE) as copy:
        copy.set_types(_STAGE_TYPES)
        for row in rows:
            copy.write_row(
                (
                    row[0],
                    (row[1] - _PG_EPOCH_MS) * 1000,
                    row[1],
                    (row[2] - _PG_EPOCH_MS) * 1000,
                    *row[3:14],
                    _JSONB_VERSION + row[14],
                    row[15],
                    row[16],
                )
            )


def claim_identities(connection: Connection, rows: Sequence[EventRow]) -> Claims:
    """Make the staged rows the stored copies of their identities, where they take precedence.

    `rows` are the staged ones, one per identity, each at the index that is its `ord`.
    """
    ord_of = {(row.partition << _PLACE_BITS) | row.offset: row.ord for row in rows}
    with translated():
        found = connection.execute(_CLAIM).fetchone()
        assert found is not None
        claimed, *columns = found
        replaced = {
            ord_of[place]: StoredCopy(*fields)
            for place, *fields in zip(*(column or () for column in columns), strict=True)
        }
        outranked: dict[int, StoredCopy] = {}
        if len(claimed or ()) < len(rows):
            left = sorted(set(ord_of.values()) - {ord_of[place] for place in claimed or ()})
            for ord_, *stored in connection.execute(_OUTRANKED, (left,)).fetchall():
                outranked[ord_] = StoredCopy(*stored)
    return Claims(replaced, outranked)


def take_away(connection: Connection, event_time: int, client_id: str, event_id: str) -> bytes:
    """Remove an event whose identity went to another copy; what its record said, as JSON."""
    with translated():
        row = connection.execute(_TAKE_AWAY, (event_time, client_id, event_id)).fetchone()
    return canonical_json(row[0] if row is not None else None)


def insert_staged(connection: Connection, *, without: Sequence[int]) -> None:
    """Store the staged rows except those with these `ord`s.

    Raises:
        RowRefused: a rule of the table is broken by some row.
    """
    with translated():
        if without:
            connection.execute(_INSERT + _WITHOUT, (list(without),))
        else:
            connection.execute(_INSERT)


def raise_generations(connection: Connection, windows: Sequence[Window]) -> None:
    """Count up the generation of windows that lost or exchanged an event.

    Either this or `generations_unchanged` is the last lock of every batch: after it, no other
    batch can be between looking for raised windows and its commit.
    """
    columns = ([w[0] for w in windows], [w[1] for w in windows], [w[2] for w in windows])
    with translated():
        connection.execute(_LOCK_TO_RAISE)
        connection.execute(_RAISE, columns)


def generations_unchanged(connection: Connection) -> None:
    """The counterpart of `raise_generations` for a batch that raises none."""
    with translated():
        connection.execute(_LOCK_TO_READ)


def staged_in_raised_windows(connection: Connection) -> set[int]:
    """`ord`s of staged rows whose window has a raised generation; call after the lock."""
    with translated():
        return {row[0] for row in connection.execute(_IN_RAISED).fetchall()}
