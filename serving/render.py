"""From rows to answers. Pure, but for the moment of answering, which is handed in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from serving.answers import (
    Asked,
    Freshness,
    Interval,
    Match,
    MatchAnswer,
    PatternAnswer,
    Versions,
    Why,
)
from serving.explain import Evidence, overlap, sentence
from serving.questions import Question
from serving.read_path import Matches, Pattern
from storage.postgres.pattern_reads import PatternMatch, PatternRow, StoreSeen
from stream_jobs.patterns.confidence import success_rate, wilson_interval
from stream_jobs.patterns.detect import ALGORITHM_VERSION
from stream_jobs.patterns.embedding import EMBEDDING_VERSION, features

_DECIMALS = 4
VERSIONS = Versions(algorithm=ALGORITHM_VERSION, embedding=EMBEDDING_VERSION)


def match_answer(question: Question, found: Matches, now_ms: int) -> MatchAnswer:
    """Patterns that share nothing with the question are no matches, whatever their distance."""
    asked = features(question.industry, question.campaign_type, question.path)
    rendered = (_match(asked, row) for row in found.rows)
    return MatchAnswer(
        matches=[match for match in rendered if match.why.matched],
        asked=Asked(
            industry=question.industry,
            campaign_type=question.campaign_type,
            path=None if question.path is None else list(question.path),
            k=question.k,
        ),
        freshness=freshness(found.seen, now_ms),
        versions=VERSIONS,
        cache_tier=found.tier,
    )


def pattern_answer(found: Pattern, now_ms: int) -> PatternAnswer:
    return PatternAnswer(
        **_body(found.row),
        outcomes=found.row.outcomes,
        sentence=sentence(_evidence(found.row)),
        freshness=freshness(found.seen, now_ms),
        versions=VERSIONS,
        cache_tier=found.tier,
    )


def freshness(seen: StoreSeen, now_ms: int) -> Freshness:
    """Staleness counts from the end of the newest window; never negative."""
    stale_ms = None
    if seen.window_end is not None:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        stale_ms = max(int((now - seen.window_end).total_seconds() * 1000), 0)
    return Freshness(as_of=seen.window_end, staleness_ms=stale_ms, store_updated_at=seen.updated_at)


def _match(asked: dict[str, float], found: PatternMatch) -> Match:
    row = found.pattern
    distance = round(min(max(found.distance, 0.0), 2.0), _DECIMALS)
    matched, missing = overlap(asked, row.industry, row.campaign_type, row.path)
    return Match(
        **_body(row),
        distance=distance,
        similarity=round(1.0 - distance, _DECIMALS),
        why=Why(sentence=sentence(_evidence(row)), matched=matched, not_matched=missing),
    )


def _body(row: PatternRow) -> dict[str, Any]:
    """What every shape of a pattern has in common."""
    low, high = wilson_interval(row.sample_size, row.success_ppm)
    return {
        "pattern_hash": row.pattern_hash,
        "pattern_type": row.pattern_type,
        "industry": row.industry,
        "campaign_type": row.campaign_type,
        "path": list(row.path),
        "success_rate": row.success_rate,
        "context_success_rate": _context_rate(row),
        "lift": row.lift,
        "confidence_score": row.confidence,
        "sample_size": row.sample_size,
        "client_count": row.client_count,
        "interval": Interval(low, high),
        "algorithm_version": row.algorithm_version,
        "embedding_version": row.embedding_version,
        "first_seen": row.first_seen,
        "last_seen": row.last_seen,
        "updated_at": row.updated_at,
    }


def _context_rate(row: PatternRow) -> float | None:
    """The base rate; None when the context's totals are not known."""
    if not row.context_trials:
        return None
    return success_rate(row.context_trials, row.context_success_ppm)


def _evidence(row: PatternRow) -> Evidence:
    return Evidence(
        path=row.path,
        industry=row.industry,
        campaign_type=row.campaign_type,
        success_rate=row.success_rate,
        sample_size=row.sample_size,
        context_success_rate=_context_rate(row),
        confidence=row.confidence,
    )
