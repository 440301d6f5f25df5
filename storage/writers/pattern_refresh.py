"""Keep confidence, lift and detection a function of the totals, and publish what moved.

A context's base rate moves with every batch, and with it the confidence of all its patterns, so
contexts are marked when they change and refreshed a little later, many changes at once. The mark
lies in the database: whoever comes after a crash finds it.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.kafka.producer import Record
from infra.topics import PATTERN_UPDATES
from ingestion.events.canonical import canonical_json
from storage.postgres import outbox, refresh_store
from storage.postgres.pool import Connection, transaction
from storage.postgres.refresh_store import Derived, DirtyContext, PatternState
from stream_jobs.patterns import confidence as formulas
from stream_jobs.patterns.detect import ALGORITHM_VERSION

_CONTEXTS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What makes a pattern a detected one, and how many are refreshed in one transaction."""

    confidence_min: float
    sample_size_min: int
    patterns_max: int


def derive(state: PatternState, context: DirtyContext, limits: Limits) -> Derived:
    """Every derived value, from integer totals. Pure."""
    totals = (state.trials, state.success_ppm, context.trials, context.success_ppm)
    confidence = formulas.confidence(*totals)
    low, high = formulas.wilson_interval(state.trials, state.success_ppm)
    return Derived(
        success_rate=formulas.success_rate(state.trials, state.success_ppm),
        confidence=confidence,
        lift=formulas.lift(*totals),
        low=low,
        high=high,
        detected=confidence > limits.confidence_min and state.trials >= limits.sample_size_min,
    )


def refresh(connection: Connection, limits: Limits, *, writer: str) -> bool:
    """Refresh every marked context once; False when some is still marked afterwards.

    Each transaction refreshes at most `limits.patterns_max` patterns and queues the messages about
    them, so a crash leaves whole steps and a context that is still marked.
    """
    with refresh_store.only_refresher(connection) as mine:
        if not mine:
            return False
        contexts = refresh_store.dirty_contexts(
            connection, algorithm_version=ALGORITHM_VERSION, contexts_max=_CONTEXTS_MAX
        )
        waiting: list[tuple[PatternState, Derived]] = []
        for context in contexts:
            after = ""
            while True:
                states = refresh_store.page(
                    connection, context, after=after, patterns_max=limits.patterns_max
                )
                waiting += _changed(states, context, limits)
                while len(waiting) >= limits.patterns_max:
                    _store(connection, waiting[: limits.patterns_max], writer)
                    del waiting[: limits.patterns_max]
                if len(states) < limits.patterns_max:
                    break
                after = states[-1].pattern_hash
        if waiting:
            _store(connection, waiting, writer)
        clean = [refresh_store.mark_clean(connection, context) for context in contexts]
        return all(clean) and len(contexts) < _CONTEXTS_MAX


def _changed(
    states: list[PatternState], context: DirtyContext, limits: Limits
) -> list[tuple[PatternState, Derived]]:
    changed = []
    for state in states:
        derived = derive(state, context, limits)
        if state.pending or derived != state.derived:
            changed.append((state, derived))
    return changed


def _store(
    connection: Connection, patterns: list[tuple[PatternState, Derived]], writer: str
) -> None:
    with transaction(connection):
        refreshed = refresh_store.store(connection, patterns)
        outbox.add(
            connection,
            writer,
            [
                Record(
                    PATTERN_UPDATES.name,
                    str(pattern.row["pattern_hash"]).encode(),
                    canonical_json(pattern.row),
                )
                for pattern in refreshed
                if pattern.was_detected or pattern.row["detected"]
            ],
        )
