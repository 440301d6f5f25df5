"""Results of windows: keep the newest of each, and tell what it replaced."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from storage.postgres.errors import translated
from storage.postgres.pool import Connection
from storage.postgres.window_events import Window

_PG_EPOCH_MS = 946_684_800_000
_JSONB_VERSION = b"\x01"


class WindowRow(NamedTuple):
    """One window result; `window_start` in ms, `observations` as JSON text."""

    window_start: int
    algorithm_version: int
    generation: int
    revision: int
    client_id: str
    session_id: str
    engine: str
    industry: str
    campaign_type: str
    observations: bytes


class OldResult(NamedTuple):
    """What a newer result replaced; `observations` as decoded JSON."""

    algorithm_version: int
    industry: str
    campaign_type: str
    observations: list[list[Any]]


_STAGE_TABLE = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged_windows (
    window_start timestamptz, algorithm_version integer, generation integer, revision integer,
    client_id varchar(50), session_id varchar(100), engine text, industry varchar(100),
    campaign_type varchar(100), observations jsonb
) ON COMMIT DELETE ROWS
"""
_STAGE = "COPY staged_windows FROM STDIN (FORMAT BINARY)"
_STAGE_TYPES = ["int8", "int4", "int4", "int4"] + ["varchar"] * 5 + ["bytea"]

# Sorted, so that two writers meet the same windows in the same order. Not returned = not newer.
_KEEP_NEWER = """
INSERT INTO session_windows AS w
    (window_start, algorithm_version, generation, revision, client_id, session_id, engine,
     industry, campaign_type, observations)
SELECT window_start, algorithm_version, generation, revision, client_id, session_id, engine,
     industry, campaign_type, observations
FROM staged_windows
ORDER BY window_start, client_id, session_id
ON CONFLICT (window_start, client_id, session_id) DO UPDATE
    SET algorithm_version = excluded.algorithm_version, generation = excluded.generation,
        revision = excluded.revision, engine = excluded.engine, industry = excluded.industry,
        campaign_type = excluded.campaign_type, observations = excluded.observations,
        updated_at = now()
    WHERE (excluded.algorithm_version, excluded.generation, excluded.revision)
        > (w.algorithm_version, w.generation, w.revision)
RETURNING new.client_id, new.session_id, (extract(epoch FROM new.window_start) * 1000)::bigint,
    old.algorithm_version, old.industry, old.campaign_type, old.observations
"""


def open_staging(connection: Connection) -> None:
    """Make the connection fit for this module; once per connection."""
    with translated():
        connection.execute(_STAGE_TABLE)


def keep_newer(connection: Connection, rows: Iterable[WindowRow]) -> dict[Window, OldResult | None]:
    """Store results that are newer than what is stored; part of the caller's transaction.

    `rows` hold each window once. Returns the windows that were taken, with what they replaced
    (None for a window that is new).

    Raises:
        RowRefused: some row breaks a rule of the table.
    """
    with translated():
        with connection.cursor().copy(_STAGE) as copy:
            copy.set_types(_STAGE_TYPES)
            for row in rows:
                start_us = (row.window_start - _PG_EPOCH_MS) * 1000
                copy.write_row((start_us, *row[1:9], _JSONB_VERSION + row.observations))
        taken = connection.execute(_KEEP_NEWER).fetchall()
    return {
        (client_id, session_id, start): None if old[0] is None else OldResult(*old)
        for client_id, session_id, start, *old in taken
    }
