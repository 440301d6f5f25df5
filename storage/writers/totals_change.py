"""What a batch of newer window results adds to the totals. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from storage.postgres.window_store import OldResult
from stream_jobs.patterns.detect import ALGORITHM_VERSION, Observation
from stream_jobs.patterns.totals import Delta, PatternKey, difference
from stream_jobs.patterns.window_result import WindowResult, observations_from_wire

Context = tuple[str, str]


@dataclass(slots=True)
class PatternChange:
    """Sum of differences of one pattern, and the window starts (ms) they come from."""

    trials: int
    success_ppm: int
    first_ms: int
    last_ms: int


@dataclass(slots=True)
class TotalsChange:
    """Differences, added up; entries may be zero where changes cancel out."""

    patterns: dict[PatternKey, PatternChange] = field(default_factory=dict)
    contributors: dict[tuple[PatternKey, str], int] = field(default_factory=dict)
    contexts: dict[Context, Delta] = field(default_factory=dict)


def change_of(taken: Iterable[tuple[WindowResult, OldResult | None]]) -> TotalsChange:
    """Differences of the windows that were taken, each with what it replaced."""
    change = TotalsChange()
    for result, old in taken:
        deltas = difference(_old_observations(old), result.observations)
        for key, delta in deltas.items():
            _add(change, key, delta, result)
    return change


def _old_observations(old: OldResult | None) -> tuple[Observation, ...] | None:
    """Totals of another algorithm have hashes of their own and stay as they are."""
    if old is None or old.algorithm_version != ALGORITHM_VERSION:
        return None
    return observations_from_wire(old.industry, old.campaign_type, old.observations)


def _add(change: TotalsChange, key: PatternKey, delta: Delta, result: WindowResult) -> None:
    context = (key.industry, key.campaign_type)
    if key.path is None:
        present = change.contexts.get(context)
        change.contexts[context] = delta if present is None else present + delta
        return
    change.contexts.setdefault(context, Delta(0, 0))
    pattern = change.patterns.get(key)
    if pattern is None:
        change.patterns[key] = PatternChange(
            delta.trials, delta.success_ppm, result.window_start, result.window_start
        )
    else:
        pattern.trials += delta.trials
        pattern.success_ppm += delta.success_ppm
        pattern.first_ms = min(pattern.first_ms, result.window_start)
        pattern.last_ms = max(pattern.last_ms, result.window_start)
    if delta.trials:
        contributor = (key, result.client_id)
        change.contributors[contributor] = change.contributors.get(contributor, 0) + delta.trials
