"""What a newer result of a window changes in the totals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_jobs.patterns.detect import Observation, Path


@dataclass(frozen=True, slots=True)
class PatternKey:
    """What is counted: a path in a context, or the context itself (path None)."""

    industry: str
    campaign_type: str
    path: Path | None


@dataclass(frozen=True, slots=True)
class Delta:
    """Trials and success (ppm) to add; both may be negative."""

    trials: int
    success_ppm: int

    def __add__(self, other: Delta) -> Delta:
        return Delta(self.trials + other.trials, self.success_ppm + other.success_ppm)

    def __bool__(self) -> bool:
        return bool(self.trials or self.success_ppm)


def difference(
    old: Sequence[Observation] | None, new: Sequence[Observation]
) -> dict[PatternKey, Delta]:
    """new − old, per pattern; patterns that do not change are left out."""
    deltas: dict[PatternKey, Delta] = {}
    for sign, observations in ((-1, old or ()), (1, new)):
        for seen in observations:
            key = PatternKey(seen.industry, seen.campaign_type, seen.path)
            change = Delta(sign, sign * seen.success_ppm)
            deltas[key] = deltas[key] + change if key in deltas else change
    return {key: delta for key, delta in deltas.items() if delta}
