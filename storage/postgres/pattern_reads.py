"""Patterns as readers may see them: detected ones, inside the tenant walls.

A pattern is visible to a client when the client contributed to it, or when enough different
clients did. Every function takes the asking client, so that no caller can forget the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.postgres.errors import translated
from storage.postgres.pool import Connection

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Audience:
    """Who asks, and how many clients make a pattern everybody's."""

    client_id: str
    shared_min_clients: int


@dataclass(frozen=True, slots=True)
class PatternFilters:
    """What a match is limited to; None = any."""

    industry: str | None = None
    campaign_type: str | None = None
    pattern_type: str | None = None
    confidence_min: float | None = None
    sample_size_min: int | None = None


@dataclass(frozen=True, slots=True)
class PatternRow:
    """One detected pattern. Rates and confidence in [0, 1]; times are UTC.

    Totals and the context's totals are as of the read; confidence, lift and outcomes as of the last
    refresh. `success_ppm` sums success in parts per million.
    """

    pattern_hash: str
    pattern_type: str
    industry: str
    campaign_type: str
    path: tuple[str, ...]
    sample_size: int
    success_rate: float
    lift: float | None
    confidence: float
    client_count: int
    conditions: dict[str, Any]
    outcomes: dict[str, Any]
    algorithm_version: int
    embedding_version: int
    first_seen: datetime
    last_seen: datetime
    updated_at: datetime
    success_ppm: int
    context_trials: int
    context_success_ppm: int


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """A pattern and its cosine distance (0 = same direction, 2 = opposite)."""

    pattern: PatternRow
    distance: float


@dataclass(frozen=True, slots=True)
class StoreSeen:
    """End of the newest window taken in (event time), and when something was last taken in."""

    window_end: datetime | None
    updated_at: datetime | None


_COLUMNS = """p.pattern_hash, p.pattern_type, p.industries[1], p.campaign_type, p.path,
    p.sample_size, p.success_rate::float8, p.lift, p.confidence_score::float8,
    p.client_count, p.conditions, p.outcomes, p.algorithm_version, p.embedding_version,
    p.first_seen, p.last_seen, p.updated_at, p.success_ppm_sum,
    coalesce(t.trials, 0), coalesce(t.success_ppm_sum, 0)"""

_CONTEXT = """LEFT JOIN context_totals t
    ON t.algorithm_version = p.algorithm_version
    AND t.industry = p.industries[1] AND t.campaign_type = p.campaign_type"""

_VISIBLE = """p.detected AND (
        p.client_count >= %(shared_min_clients)s
        OR EXISTS (
            SELECT FROM pattern_contributors c
            WHERE c.pattern_hash = p.pattern_hash AND c.client_id = %(client_id)s AND c.trials > 0
        )
    )"""

_RANKED = """round(p.distance::numeric, 3), p.confidence_score DESC, p.lift DESC NULLS LAST,
    p.pattern_hash"""

# Exact: the distance to every visible pattern is computed, so filters can never cost results.
# OFFSET 0 keeps the distance from being computed twice, for the order and for the answer.
_MATCH = f"""
WITH p AS (
    SELECT p.* FROM (
        SELECT p.*, p.embedding <=> %(embedding)b AS distance
        FROM success_patterns p
        WHERE {_VISIBLE}
            AND (%(industry)s::text IS NULL OR p.industries @> ARRAY[%(industry)s::text])
            AND (%(campaign_type)s::text IS NULL OR p.campaign_type = %(campaign_type)s)
            AND (%(pattern_type)s::text IS NULL OR p.pattern_type = %(pattern_type)s)
            AND (%(confidence_min)s::float8 IS NULL
                OR p.confidence_score >= %(confidence_min)s::float8)
            AND (%(sample_size_min)s::int IS NULL OR p.sample_size >= %(sample_size_min)s::int)
        OFFSET 0
    ) p
    ORDER BY {_RANKED}
    LIMIT %(k)s
)
SELECT {_COLUMNS}, p.distance FROM p {_CONTEXT} ORDER BY {_RANKED}
"""  # noqa: S608 (only constants above are joined)

_GET = f"""
SELECT {_COLUMNS} FROM success_patterns p {_CONTEXT}
WHERE p.pattern_hash = %(hash)s AND {_VISIBLE}
"""  # noqa: S608

# The writer notes the newest window end of each partition with its position.
_SEEN = """
SELECT 'epoch'::timestamptz + max(watermark_ms) * interval '1 millisecond', max(updated_at)
FROM consumer_offsets WHERE consumer_group = 'pattern-writer'
"""


def match(
    connection: Connection,
    embedding: Vector,
    k: int,
    *,
    audience: Audience,
    filters: PatternFilters,
) -> list[PatternMatch]:
    """The k nearest visible patterns, nearest first; fewer only when fewer exist.

    Distances equal to three decimals say the same: then the surest comes first, then the one with
    the largest lift.

    `embedding` is float32[512]; the connection must have been opened with `vectors=True`.
    """
    parameters = {
        "embedding": embedding,
        "k": k,
        "client_id": audience.client_id,
        "shared_min_clients": audience.shared_min_clients,
        "industry": filters.industry,
        "campaign_type": filters.campaign_type,
        "pattern_type": filters.pattern_type,
        "confidence_min": filters.confidence_min,
        "sample_size_min": filters.sample_size_min,
    }
    with translated():
        rows = connection.execute(_MATCH.encode(), parameters, prepare=True).fetchall()
    return [PatternMatch(_pattern(row[:-1]), row[-1]) for row in rows]


def get(connection: Connection, pattern_hash: str, *, audience: Audience) -> PatternRow | None:
    """One pattern; None when it does not exist, is not detected, or is not for this client."""
    parameters = {
        "hash": pattern_hash,
        "client_id": audience.client_id,
        "shared_min_clients": audience.shared_min_clients,
    }
    with translated():
        row = connection.execute(_GET.encode(), parameters, prepare=True).fetchone()
    return None if row is None else _pattern(row)


def store_seen(connection: Connection) -> StoreSeen:
    """How far the pattern store has come; read it before what it is to speak of."""
    with translated():
        row = connection.execute(_SEEN).fetchone()
    assert row is not None
    return StoreSeen(*row)


def _pattern(row: tuple[Any, ...]) -> PatternRow:
    fields = list(row)
    fields[4] = tuple(fields[4] or ())
    return PatternRow(*fields)
