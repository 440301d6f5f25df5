"""From a closed window to observations: algorithm version 1."""

from __future__ import annotations

from dataclasses import dataclass

from stream_jobs.patterns.accumulator import WindowAccumulator, WindowEvent
from stream_jobs.patterns.signals import DEFAULT_SIGNALS, SignalTable

ALGORITHM_VERSION = 1
PATH_STEPS_MAX = 3
UNKNOWN = "unknown"

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """One trial of a path (None: of the context itself) and its success in ppm."""

    industry: str
    campaign_type: str
    path: Path | None
    success_ppm: int


def detect(
    accumulator: WindowAccumulator, signals: SignalTable = DEFAULT_SIGNALS
) -> tuple[Observation, ...]:
    """One observation per distinct path of 1-3 consecutive steps, and one for the context.

    The context's comes first, the rest follow by path. An empty window has none.
    """
    events = accumulator.ordered()
    if not events:
        return ()
    industry = _last([event.industry for event in events])
    campaign_type = _last([event.campaign_type for event in events])
    best_after = _best_signal_after(events, signals)
    steps, step_ends = _steps(events)
    successes: dict[Path, int] = {}
    for start in range(len(steps)):
        for length in range(1, min(PATH_STEPS_MAX, len(steps) - start) + 1):
            path = tuple(steps[start : start + length])
            # The occurrence that ends first is the path's first: starts come in order.
            successes.setdefault(path, best_after[step_ends[start + length - 1]])
    return (
        Observation(industry, campaign_type, None, best_after[0]),
        *(
            Observation(industry, campaign_type, path, successes[path])
            for path in sorted(successes)
        ),
    )


def _last(values: list[str | None]) -> str:
    return next((value for value in reversed(values) if value is not None), UNKNOWN)


def _best_signal_after(events: list[WindowEvent], signals: SignalTable) -> list[int]:
    """Entry i: the largest signal among events i, i+1, …; the entry after the last is 0."""
    best = [0] * (len(events) + 1)
    for index in range(len(events) - 1, -1, -1):
        best[index] = max(best[index + 1], signals.of(events[index]) or 0)
    return best


def _steps(events: list[WindowEvent]) -> tuple[list[str], list[int]]:
    """Event types with immediate repeats collapsed, and for each the index after its first event.

    A path has occurred once the first event of its last step is there; a repeat of that step
    comes after the path and may carry its success.
    """
    steps: list[str] = []
    ends: list[int] = []
    for index, event in enumerate(events):
        if not steps or steps[-1] != event.event_type:
            steps.append(event.event_type)
            ends.append(index + 1)
    return steps, ends
