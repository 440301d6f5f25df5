"""What a newer result of a window changes in the totals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stream_jobs.patterns.detect import Observation, Path


class PatternKey(NamedTuple):
    """What is counted: a path in a context, or the context itself (path None)."""

    industry: str
    campaign_type: str
    path: Path | None


class Delta(NamedTuple):
    """Trials and success (ppm) to add; both may be negative. Integers, so sums are exact."""

    trials: int
    success_ppm: int

    def __add__(self, other: object) -> Delta:
        """The sum of two deltas, not the concatenation of two tuples."""
        if not isinstance(other, Delta):
            return NotImplemented
        return Delta(self.trials + other.trials, self.success_ppm + other.success_ppm)

    def __bool__(self) -> bool:
        return self.trials != 0 or self.success_ppm != 0


def difference(
    old: Sequence[Observation] | None, new: Sequence[Observation]
) -> dict[PatternKey, Delta]:
    """new − old, per pattern; patterns that do not change are left out."""
    deltas: dict[PatternKey, Delta] = {}
    for sign, observations in ((-1, old or ()), (1, new)):
        for industry, campaign_type, path, success_ppm in observations:
            key = PatternKey(industry, campaign_type, path)
            change = Delta(sign, sign * success_ppm)
            known = deltas.get(key)
            deltas[key] = change if known is None else known + change
    return {key: delta for key, delta in deltas.items() if delta} if old else deltas
