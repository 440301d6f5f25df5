"""Statements of the confidence refresh: find what is out of date, store what was computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from storage.postgres.errors import translated
from storage.postgres.pool import Connection


class DirtyContext(NamedTuple):
    """A context whose patterns may have an old confidence, with its totals as of now."""

    algorithm_version: int
    industry: str
    campaign_type: str
    trials: int
    success_ppm: int
    change_seq: int


class Derived(NamedTuple):
    """Everything about a pattern that is computed from its totals and its context's."""

    success_rate: float
    confidence: float
    lift: float | None
    low: float
    high: float
    detected: bool


class PatternState(NamedTuple):
    """A pattern's totals and what was derived from earlier ones."""

    pattern_hash: str
    trials: int
    success_ppm: int
    pending: bool
    derived: Derived


class RefreshedPattern(NamedTuple):
    """The row after a refresh, as it is published, and whether it was detected before."""

    row: dict[str, Any]
    was_detected: bool


_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('sagestream.pattern_refresh', 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('sagestream.pattern_refresh', 0))"

_DIRTY = """
SELECT algorithm_version, industry, campaign_type, trials, success_ppm_sum, change_seq
FROM context_totals
WHERE dirty_since IS NOT NULL AND algorithm_version = %s
ORDER BY dirty_since, industry, campaign_type
LIMIT %s
"""

_PAGE = """
SELECT p.pattern_hash, p.sample_size, p.success_ppm_sum, p.pending, p.success_rate::float8,
    p.confidence_score::float8, p.lift, (p.outcomes ->> 'success_rate_low')::float8,
    (p.outcomes ->> 'success_rate_high')::float8, p.detected
FROM success_patterns p
WHERE p.campaign_type = %s AND p.industries = ARRAY[%s::text] AND p.pattern_hash > %s
    AND p.algorithm_version = %s
ORDER BY p.pattern_hash
LIMIT %s
"""

# Rows are locked in the order in which writers lock them, and written only if their totals are
# still those the values were computed from: whoever changed them has marked the context again.
_STORE = """
WITH fresh AS (
    SELECT * FROM unnest(%(hashes)b::text[], %(trials)b::integer[], %(ppm)b::bigint[],
        %(rates)b::float8[], %(confidences)b::float8[], %(lifts)b::float8[], %(lows)b::float8[],
        %(highs)b::float8[], %(detected)b::boolean[])
        AS f (pattern_hash, trials, ppm, rate, confidence, lift, low, high, detected)
), locked AS MATERIALIZED (
    SELECT pattern_hash FROM success_patterns
    WHERE pattern_hash = ANY (%(hashes)b::text[])
    ORDER BY pattern_hash
    FOR NO KEY UPDATE
)
UPDATE success_patterns p
SET success_rate = f.rate::numeric, confidence_score = f.confidence::numeric,
    lift = f.lift, detected = f.detected, pending = false, updated_at = now(),
    outcomes = jsonb_build_object('success_rate_low', f.low, 'success_rate_high', f.high)
FROM locked JOIN fresh f USING (pattern_hash)
WHERE p.pattern_hash = f.pattern_hash
    AND p.sample_size = f.trials AND p.success_ppm_sum = f.ppm
RETURNING old.detected, jsonb_build_object(
    'pattern_hash', p.pattern_hash, 'pattern_type', p.pattern_type, 'industries', p.industries,
    'campaign_type', p.campaign_type, 'path', p.path, 'conditions', p.conditions,
    'outcomes', p.outcomes, 'sample_size', p.sample_size, 'success_rate', p.success_rate,
    'lift', p.lift, 'confidence_score', p.confidence_score, 'client_count', p.client_count,
    'detected', p.detected, 'algorithm_version', p.algorithm_version,
    'embedding_version', p.embedding_version,
    'first_seen', (extract(epoch FROM p.first_seen) * 1000)::bigint,
    'last_seen', (extract(epoch FROM p.last_seen) * 1000)::bigint,
    'updated_at', (extract(epoch FROM p.updated_at) * 1000)::bigint)
"""

_CLEAN = """
UPDATE context_totals SET dirty_since = NULL
WHERE algorithm_version = %s AND industry = %s AND campaign_type = %s AND change_seq = %s
"""


@contextmanager
def only_refresher(connection: Connection) -> Iterator[bool]:
    """True when no other process refreshes until the block ends.

    Two refreshers could otherwise write values of an older context over those of a newer one.
    """
    with translated():
        row = connection.execute(_LOCK).fetchone()
    mine = row is not None and bool(row[0])
    try:
        yield mine
    finally:
        if mine and not connection.broken:
            with translated():
                connection.execute(_UNLOCK)


def dirty_contexts(
    connection: Connection, *, algorithm_version: int, contexts_max: int
) -> list[DirtyContext]:
    """Contexts to refresh, those that wait longest first."""
    with translated():
        rows = connection.execute(_DIRTY, (algorithm_version, contexts_max)).fetchall()
    return [DirtyContext(*row) for row in rows]


def page(
    connection: Connection, context: DirtyContext, *, after: str, patterns_max: int
) -> list[PatternState]:
    """Patterns of a context by hash, beginning behind `after` ('' = from the first)."""
    parameters = (
        context.campaign_type,
        context.industry,
        after,
        context.algorithm_version,
        patterns_max,
    )
    with translated():
        rows = connection.execute(_PAGE, parameters).fetchall()
    return [PatternState(row[0], row[1], row[2], row[3], Derived(*row[4:])) for row in rows]


def store(
    connection: Connection, patterns: Sequence[tuple[PatternState, Derived]]
) -> list[RefreshedPattern]:
    """Write derived values; part of the caller's transaction. Rows that moved on are left out."""
    states = [state for state, _ in patterns]
    derived = [values for _, values in patterns]
    parameters = {
        "hashes": [state.pattern_hash for state in states],
        "trials": [state.trials for state in states],
        "ppm": [state.success_ppm for state in states],
        "rates": [values.success_rate for values in derived],
        "confidences": [values.confidence for values in derived],
        "lifts": [values.lift for values in derived],
        "lows": [values.low for values in derived],
        "highs": [values.high for values in derived],
        "detected": [values.detected for values in derived],
    }
    with translated():
        rows = connection.execute(_STORE, parameters).fetchall()
    refreshed = [RefreshedPattern(row, was_detected) for was_detected, row in rows]
    return sorted(refreshed, key=lambda pattern: str(pattern.row["pattern_hash"]))


def mark_clean(connection: Connection, context: DirtyContext) -> bool:
    """Done with a context, unless it changed since it was read."""
    with translated():
        changed = connection.execute(
            _CLEAN,
            (
                context.algorithm_version,
                context.industry,
                context.campaign_type,
                context.change_seq,
            ),
        ).rowcount
    return changed > 0
