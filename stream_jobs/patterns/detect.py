"""From a closed window to observations: algorithm version 1."""

from __future__ import annotations

from typing import NamedTuple

from stream_jobs.patterns.accumulator import WindowAccumulator, WindowEvent
from stream_jobs.patterns.signals import DEFAULT_SIGNALS, PPM, SignalTable

ALGORITHM_VERSION = 1
PATH_STEPS_MAX = 3
UNKNOWN = "unknown"

Path = tuple[str, ...]


class Observation(NamedTuple):
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
    industry = campaign_type = None
    for event in reversed(events):  # the last known value of each
        industry = event.industry if industry is None else industry
        campaign_type = event.campaign_type if campaign_type is None else campaign_type
        if industry is not None and campaign_type is not None:
            break
    industry = UNKNOWN if industry is None else industry
    campaign_type = UNKNOWN if campaign_type is None else campaign_type
    best_from = _best_signal_from(events, signals)
    successes = _success_by_path(events, best_from)
    observations = [Observation(industry, campaign_type, None, best_from[0])]
    observations += [
        Observation(industry, campaign_type, path, success_ppm)
        for path, success_ppm in sorted(successes.items())
    ]
    return tuple(observations)


def _best_signal_from(events: list[WindowEvent], signals: SignalTable) -> list[int]:
    """Entry i: the largest signal among events i, i+1, …; the entry after the last is 0."""
    best_from = [0] * (len(events) + 1)
    best = 0
    for index in range(len(events) - 1, -1, -1):
        if best < PPM:
            signal = signals.of(events[index])
            if signal is not None and signal > best:
                best = signal
        best_from[index] = best
    return best_from


def _success_by_path(events: list[WindowEvent], best_from: list[int]) -> dict[Path, int]:
    """Steps are event types with immediate repeats collapsed; each path counts where it is first.

    A path has occurred once the first event of its last step is there: a repeat of that step
    comes after the path and may carry its success. Steps come in order, so the occurrence that
    is seen first is also the one that ends first.
    """
    successes: dict[Path, int] = {}
    before = last = None
    for index, event in enumerate(events):
        step = event.event_type
        if step == last:
            continue
        after = best_from[index + 1]
        successes.setdefault((step,), after)
        if last is not None:
            successes.setdefault((last, step), after)
            if before is not None:
                successes.setdefault((before, last, step), after)
        before, last = last, step
    return successes
