"""Totals of patterns and contexts: signed differences are added, in one order of locks.

Order in every process: contributors by (hash, client), patterns by hash, contexts by name. The
hottest rows, the contexts, come last and are held for the shortest time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from storage.postgres.errors import SchemaMismatch, translated
from storage.postgres.pool import Connection


class PatternDelta(NamedTuple):
    """What to add to one pattern. `embedding` is float32[512], or None when it is stored already.

    `first_ms` and `last_ms` are the window starts that the difference comes from.
    """

    pattern_hash: str
    industry: str
    campaign_type: str
    path: list[str]
    trials: int
    success_ppm: int
    first_ms: int
    last_ms: int
    embedding: NDArray[np.float32] | None


class ContributorDelta(NamedTuple):
    """Trials to add to what one client contributed to one pattern."""

    pattern_hash: str
    client_id: str
    trials: int


class ContextDelta(NamedTuple):
    """What to add to a context; zero when only patterns of it changed."""

    industry: str
    campaign_type: str
    trials: int
    success_ppm: int


class EmbeddingMissing(Exception):
    """A pattern was thought to be stored and is not: send its embedding."""


_STAGE_TABLE = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged_patterns (
    pattern_hash varchar(64), industry varchar(100), campaign_type varchar(100), path text[],
    trials bigint, success_ppm bigint, first_ms bigint, last_ms bigint, embedding vector(512)
) ON COMMIT DELETE ROWS
"""
_STAGE = "COPY staged_patterns FROM STDIN (FORMAT BINARY)"
_STAGE_TYPES = ["varchar", "varchar", "varchar", "text[]"] + ["int8"] * 4 + ["vector"]

_ADD = """
WITH contributed AS (
    INSERT INTO pattern_contributors AS c (pattern_hash, client_id, trials)
    SELECT pattern_hash, client_id, trials
    FROM unnest(%(hashes)b::text[], %(clients)b::text[], %(trials)b::bigint[])
        AS d (pattern_hash, client_id, trials)
    ORDER BY pattern_hash, client_id
    ON CONFLICT (pattern_hash, client_id) DO UPDATE SET trials = c.trials + excluded.trials
    RETURNING new.pattern_hash, new.trials,
        (new.trials > 0)::integer - (coalesce(old.trials, 0) > 0)::integer AS joined
), joined AS (
    SELECT pattern_hash, sum(joined)::integer AS clients, min(trials) AS least
    FROM contributed GROUP BY pattern_hash
), added AS (
    INSERT INTO success_patterns AS p
        (pattern_hash, pattern_type, industries, campaign_type, path, conditions, pattern_data,
         sample_size, success_ppm_sum, success_rate, client_count, first_seen, last_seen,
         algorithm_version, embedding_version, embedding)
    SELECT s.pattern_hash, %(pattern_type)s::text, ARRAY[industry], campaign_type, path,
        jsonb_build_object('industry', industry, 'campaign_type', campaign_type, 'path', path),
        jsonb_build_object('algorithm_version', %(algorithm_version)s::integer,
            'campaign_type', campaign_type, 'industry', industry, 'path', path,
            'pattern_type', %(pattern_type)s::text),
        s.trials, success_ppm,
        -- Right for a new pattern. For a stored one this is a mere difference, which the checks
        -- see before it is added, so it is kept inside their range.
        CASE WHEN s.trials > 0
             THEN least(greatest(round(success_ppm::numeric / (s.trials * 1000000), 4), 0), 1)
             ELSE 0 END,
        coalesce(j.clients, 0),
        'epoch'::timestamptz + first_ms * interval '1 millisecond',
        'epoch'::timestamptz + last_ms * interval '1 millisecond',
        %(algorithm_version)s::integer, %(embedding_version)s::integer, embedding
    FROM staged_patterns s LEFT JOIN joined j USING (pattern_hash)
    ORDER BY s.pattern_hash
    ON CONFLICT (pattern_hash) DO UPDATE SET
        sample_size = p.sample_size + excluded.sample_size,
        success_ppm_sum = p.success_ppm_sum + excluded.success_ppm_sum,
        success_rate = CASE
            WHEN p.sample_size + excluded.sample_size > 0
            THEN round((p.success_ppm_sum + excluded.success_ppm_sum)::numeric
                       / ((p.sample_size + excluded.sample_size)::bigint * 1000000), 4)
            ELSE 0 END,
        client_count = p.client_count + excluded.client_count,
        first_seen = least(p.first_seen, excluded.first_seen),
        last_seen = greatest(p.last_seen, excluded.last_seen),
        pending = true,
        updated_at = now()
    RETURNING new.sample_size, new.success_ppm_sum, new.client_count, new.embedding IS NULL AS blank
)
SELECT count(*) FILTER (WHERE blank),
    count(*) FILTER (WHERE sample_size < 0 OR client_count < 0
        OR success_ppm_sum NOT BETWEEN 0 AND sample_size::bigint * 1000000),
    (SELECT count(*) FROM joined WHERE least < 0)
FROM added
"""

_ADD_CONTEXTS = """
INSERT INTO context_totals AS t
    (trials, success_ppm_sum, dirty_since, algorithm_version, industry, campaign_type)
SELECT trials, success_ppm, now(), %b, industry, campaign_type
FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::bigint[])
    AS d (industry, campaign_type, trials, success_ppm)
ORDER BY industry, campaign_type
ON CONFLICT (algorithm_version, industry, campaign_type) DO UPDATE SET
    trials = t.trials + excluded.trials,
    success_ppm_sum = t.success_ppm_sum + excluded.success_ppm_sum,
    change_seq = t.change_seq + 1,
    dirty_since = coalesce(t.dirty_since, now())
RETURNING new.success_ppm_sum BETWEEN 0 AND new.trials * 1000000
"""


def open_staging(connection: Connection) -> None:
    """Make the connection (opened with `vectors=True`) fit for this module; once for each."""
    with translated():
        connection.execute(_STAGE_TABLE)


def add_patterns(
    connection: Connection,
    patterns: Sequence[PatternDelta],
    contributors: Sequence[ContributorDelta],
    *,
    pattern_type: str,
    algorithm_version: int,
    embedding_version: int,
) -> None:
    """Add to totals; part of the caller's transaction. Each pattern and contributor comes once.

    Raises:
        EmbeddingMissing: roll back, and send every embedding.
        SchemaMismatch: a total would leave its range, so the tables contradict each other.
    """
    with translated():
        with connection.cursor().copy(_STAGE) as copy:
            copy.set_types(_STAGE_TYPES)
            for pattern in patterns:
                copy.write_row(pattern)
        row = connection.execute(
            _ADD,
            {
                "hashes": [c.pattern_hash for c in contributors],
                "clients": [c.client_id for c in contributors],
                "trials": [c.trials for c in contributors],
                "pattern_type": pattern_type,
                "algorithm_version": algorithm_version,
                "embedding_version": embedding_version,
            },
        ).fetchone()
    assert row is not None
    blank, wrong_patterns, wrong_contributors = row
    if blank:
        raise EmbeddingMissing
    if wrong_patterns or wrong_contributors:
        raise _contradiction(f"{wrong_patterns} patterns, {wrong_contributors} contributors")


def add_contexts(
    connection: Connection, contexts: Sequence[ContextDelta], *, algorithm_version: int
) -> None:
    """Add to base rates and mark the contexts for a refresh; part of the caller's transaction.

    Raises:
        SchemaMismatch: a total would leave its range.
    """
    columns = (
        algorithm_version,
        [c.industry for c in contexts],
        [c.campaign_type for c in contexts],
        [c.trials for c in contexts],
        [c.success_ppm for c in contexts],
    )
    with translated():
        rows = connection.execute(_ADD_CONTEXTS, columns).fetchall()
    if not all(row[0] for row in rows):
        raise _contradiction("a context")


def _contradiction(what: str) -> SchemaMismatch:
    return SchemaMismatch(
        f"Totals would leave their range ({what}): they are not the sums of session_windows.",
        remedy="Stop the pattern writers and rebuild the totals from session_windows.",
    )
