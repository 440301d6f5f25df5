"""The slow, obvious oracle: observations and totals straight from raw events.

Shares no code with the window algorithm; every fast path must equal it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from ingestion.events.event import Event

FIVE_MINUTES_MS = 5 * 60 * 1000
Window = tuple[str, str, int]
# (industry, campaign type, path or None, success in ppm)
Seen = tuple[str, str, tuple[str, ...] | None, int]


def winners(events: Iterable[Event]) -> list[Event]:
    """One event per identity: the copy with the smallest (body hash, event time)."""
    copies: defaultdict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in events:
        if event.event_type != "_heartbeat":
            copies[event.client_id, event.event_id].append(event)
    return [min(group, key=lambda e: (e.body_hash, e.event_time)) for group in copies.values()]


def naive_results(events: Iterable[Event]) -> dict[Window, tuple[int, tuple[Seen, ...]]]:
    """Window → (number of distinct events, observations), context first, then by path."""
    windows: defaultdict[Window, list[Event]] = defaultdict(list)
    for event in winners(events):
        start = (event.event_time // FIVE_MINUTES_MS) * FIVE_MINUTES_MS
        windows[event.client_id, event.session_id, start].append(event)
    return {window: (len(inside), _observe(inside)) for window, inside in windows.items()}


def naive_totals(
    events: Iterable[Event],
) -> dict[tuple[str, str, tuple[str, ...] | None], tuple[int, int]]:
    """(industry, campaign type, path or None) → (trials, success in ppm)."""
    totals: defaultdict[tuple[str, str, tuple[str, ...] | None], list[int]] = defaultdict(
        lambda: [0, 0]
    )
    for _revision, seen in naive_results(events).values():
        for industry, campaign_type, path, success_ppm in seen:
            totals[industry, campaign_type, path][0] += 1
            totals[industry, campaign_type, path][1] += success_ppm
    return {key: (trials, success) for key, (trials, success) in totals.items()}


def _observe(events: list[Event]) -> tuple[Seen, ...]:
    ordered = sorted(events, key=lambda e: (e.event_time, e.event_id))
    industry = campaign_type = "unknown"
    for event in ordered:
        industry = event.facts.industry or industry
        campaign_type = event.facts.campaign_type or campaign_type
    steps: list[tuple[str, int]] = []  # (event type, position of its first event)
    for position, event in enumerate(ordered):
        if position == 0 or event.event_type != ordered[position - 1].event_type:
            steps.append((event.event_type, position))
    assert all(before[0] != after[0] for before, after in pairwise(steps))
    success_of: dict[tuple[str, ...], int] = {}
    for length in (1, 2, 3):
        for first in range(len(steps) - length + 1):
            occurrence = steps[first : first + length]
            path = tuple(name for name, _position in occurrence)
            if path not in success_of:
                end = occurrence[-1][1]
                success_of[path] = _largest(ordered[end + 1 :])
    context: Seen = (industry, campaign_type, None, _largest(ordered))
    return (
        context,
        *((industry, campaign_type, path, success_of[path]) for path in sorted(success_of)),
    )


def _largest(events: list[Event]) -> int:
    return max((_signal(event) for event in events), default=0)


def _signal(event: Event) -> int:
    facts = event.facts
    if facts.success is not None:
        return 1_000_000 if facts.success else 0
    if facts.success_score is not None:
        return round(facts.success_score * 100_000)
    if event.event_type == "goal.achieved" or event.event_type.endswith(
        (".accepted", ".approved", ".completed")
    ):
        return 1_000_000
    return 0
