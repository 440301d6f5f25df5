"""What the pattern store holds, for people: counts and the strongest patterns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage.postgres.errors import translated
from storage.postgres.pool import Connection


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of each table."""

    events: int
    windows: int
    repaired_windows: int
    patterns: int
    detected: int
    dead_letters: int
    outbox: int
    dirty_contexts: int


@dataclass(frozen=True, slots=True)
class StrongPattern:
    """One detected pattern; rates and confidence in [0, 1]."""

    industry: str
    campaign_type: str
    path: tuple[str, ...]
    success_rate: float
    context_rate: float
    lift: float | None
    confidence: float
    sample_size: int
    client_count: int


_COUNTS = """
SELECT (SELECT count(*) FROM learning_events),
       (SELECT count(*) FROM session_windows),
       (SELECT count(*) FROM session_windows WHERE engine = 'late-repair'),
       (SELECT count(*) FROM success_patterns),
       (SELECT count(*) FROM success_patterns
         WHERE confidence_score > %(confidence_min)s AND sample_size >= %(sample_size_min)s),
       (SELECT count(*) FROM dead_letters),
       (SELECT count(*) FROM outbox),
       (SELECT count(*) FROM context_totals WHERE dirty_since IS NOT NULL)
"""
_STRONGEST = """
SELECT p.industries[1], p.campaign_type, p.path, p.success_rate::float8,
       c.success_ppm_sum / (greatest(c.trials, 1) * 1e6)::float8, p.lift::float8,
       p.confidence_score::float8, p.sample_size, p.client_count
  FROM success_patterns p
  JOIN context_totals c
    ON (c.algorithm_version, c.industry, c.campaign_type)
     = (p.algorithm_version, p.industries[1], p.campaign_type)
 WHERE p.confidence_score > %(confidence_min)s AND p.sample_size >= %(sample_size_min)s
 ORDER BY p.lift DESC NULLS LAST, p.sample_size DESC, p.pattern_hash
 LIMIT %(limit)s
"""


def counts(connection: Connection, *, confidence_min: float, sample_size_min: int) -> Counts:
    """One consistent snapshot of the table sizes; `detected` uses the given thresholds."""
    with translated():
        row = connection.execute(
            _COUNTS, {"confidence_min": confidence_min, "sample_size_min": sample_size_min}
        ).fetchone()
    assert row is not None
    return Counts(*row)


def strongest(
    connection: Connection, *, confidence_min: float, sample_size_min: int, limit: int
) -> Sequence[StrongPattern]:
    """Detected patterns with the highest lift over their context, at most `limit`."""
    with translated():
        rows = connection.execute(
            _STRONGEST,
            {
                "confidence_min": confidence_min,
                "sample_size_min": sample_size_min,
                "limit": limit,
            },
        ).fetchall()
    return [
        StrongPattern(industry, campaign, tuple(path), *rest)
        for industry, campaign, path, *rest in rows
    ]
