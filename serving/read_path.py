"""From a question to rows: today straight from the pattern store.

Answers are plain values that name the tier they came from, so caches can be put in front without
a change to the routes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.clock import Clock
from serving.answers import Tier
from serving.questions import Question
from serving.store_calls import StoreCalls
from storage.postgres import pattern_reads
from storage.postgres.pattern_reads import (
    Audience,
    PatternFilters,
    PatternMatch,
    PatternRow,
    StoreSeen,
)
from storage.postgres.pool import Connection
from stream_jobs.patterns.embedding import embed_query

_SEEN_FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Matches:
    """Patterns nearest to a question, and how far the store had come before they were read."""

    rows: Sequence[PatternMatch]
    seen: StoreSeen
    tier: Tier


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern, and how far the store had come before it was read."""

    row: PatternRow
    seen: StoreSeen
    tier: Tier


class ReadPath:
    """Everything routes read about patterns. `shared_min_clients` is the tenant wall's height."""

    def __init__(self, calls: StoreCalls, clock: Clock, *, shared_min_clients: int) -> None:
        self._calls = calls
        self._clock = clock
        self._shared_min_clients = shared_min_clients
        self._seen: tuple[float, StoreSeen] | None = None

    async def match(self, question: Question, client_id: str) -> Matches:
        """The nearest patterns this client may see; HttpError 503 while the store is away."""
        embedding = embed_query(question.industry, question.campaign_type, question.path)
        filters = PatternFilters(
            industry=question.filters.industry,
            campaign_type=question.filters.campaign_type,
            pattern_type=question.filters.pattern_type,
            confidence_min=question.filters.min_confidence,
            sample_size_min=question.filters.min_sample_size,
        )
        audience = Audience(client_id, self._shared_min_clients)

        def read(connection: Connection) -> Matches:
            seen = self._store_seen(connection)
            rows = pattern_reads.match(
                connection, embedding, question.k, audience=audience, filters=filters
            )
            return Matches(rows, seen, "store")

        return await self._calls.run(read)

    async def pattern(self, pattern_hash: str, client_id: str) -> Pattern | None:
        """One pattern, None unless this client may see it; HttpError 503 as above."""
        audience = Audience(client_id, self._shared_min_clients)

        def read(connection: Connection) -> Pattern | None:
            seen = self._store_seen(connection)
            row = pattern_reads.get(connection, pattern_hash, audience=audience)
            return None if row is None else Pattern(row, seen, "store")

        return await self._calls.run(read)

    async def trouble(self) -> str | None:
        """None when the store answers a real read, else one sentence."""
        return await self._calls.trouble(pattern_reads.store_seen)

    def _store_seen(self, connection: Connection) -> StoreSeen:
        """At most a second old: a little too pessimistic is fine, too fresh would be a lie."""
        now_s = self._clock.monotonic()
        known = self._seen
        if known is not None and now_s - known[0] < _SEEN_FRESH_S:
            return known[1]
        seen = pattern_reads.store_seen(connection)
        self._seen = (now_s, seen)
        return seen
