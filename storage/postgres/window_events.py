"""All stored events of given windows, for whoever computes a window again."""

from __future__ import annotations

from collections.abc import Sequence

from storage.postgres.errors import translated
from storage.postgres.pool import Connection
from stream_jobs.patterns.accumulator import WindowEvent
from stream_jobs.patterns.window import WINDOW_SIZE_MS

# (client_id, session_id, window_start in ms)
Window = tuple[str, str, int]

# Per window one scan of the index on (client_id, session_id, event_time) in one month's partition.
# One statement is one snapshot, so a window's generation and its events belong together.
_READ = """
SELECT w.client_id, w.session_id, w.start_ms, coalesce(g.generation, 0),
       e.event_id, e.body_hash, e.event_time_ms, e.event_type,
       e.industry, e.campaign_type, e.success, e.success_score
FROM (
    SELECT client_id, session_id, start_ms,
           'epoch'::timestamptz + start_ms * interval '1 millisecond' AS start
    FROM unnest(%b::text[], %b::text[], %b::bigint[]) AS asked (client_id, session_id, start_ms)
) AS w
LEFT JOIN window_generations g
    ON g.client_id = w.client_id AND g.session_id = w.session_id AND g.window_start = w.start
LEFT JOIN LATERAL (
    SELECT *
    FROM learning_events l
    WHERE l.client_id = w.client_id
      AND l.session_id = w.session_id
      AND l.event_time >= w.start
      AND l.event_time < w.start + %b * interval '1 millisecond'
    OFFSET 0
) AS e ON true
"""


def read(
    connection: Connection, windows: Sequence[Window]
) -> dict[Window, tuple[int, list[WindowEvent]]]:
    """(generation, events) of each window asked for, all as of one moment.

    A window without events is there too, with an empty list. Events come in no special order.

    Raises:
        PostgresAway, SchemaMismatch.
    """
    found: dict[Window, tuple[int, list[WindowEvent]]] = {}
    asked = sorted(set(windows))
    columns = ([w[0] for w in asked], [w[1] for w in asked], [w[2] for w in asked])
    with translated():
        rows = connection.execute(_READ, (*columns, WINDOW_SIZE_MS)).fetchall()
    for client_id, session_id, start_ms, generation, event_id, *fields in rows:
        entry = found.setdefault((client_id, session_id, start_ms), (generation, []))
        if event_id is not None:
            entry[1].append(WindowEvent(event_id, *fields))
    return found
