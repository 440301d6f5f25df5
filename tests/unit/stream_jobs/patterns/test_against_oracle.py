"""The window algorithm equals the slow oracle, whatever the order and the copies."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.events.event import Event
from stream_jobs.patterns.accumulator import WindowAccumulator, WindowEvent
from stream_jobs.patterns.detect import detect
from stream_jobs.patterns.totals import Delta, PatternKey, difference
from stream_jobs.patterns.window import window_start
from tests.support.builders import DAY_MS, event, random_log
from tests.support.naive_patterns import Seen, naive_results, naive_totals, winners

Window = tuple[str, str, int]


def windows_of(events: Iterable[Event]) -> dict[Window, WindowAccumulator]:
    windows: defaultdict[Window, WindowAccumulator] = defaultdict(WindowAccumulator)
    for seen in events:
        window = (seen.client_id, seen.session_id, window_start(seen.event_time))
        windows[window].add(WindowEvent.of(seen))
    return dict(windows)


def observed(accumulator: WindowAccumulator) -> tuple[int, tuple[Seen, ...]]:
    return accumulator.revision, tuple(
        (o.industry, o.campaign_type, o.path, o.success_ppm) for o in detect(accumulator)
    )


@pytest.mark.parametrize("seed", range(5))
def test_observations_equal_the_oracle_on_a_shuffled_log_with_copies(seed: int) -> None:
    log = random_log(seed, events=2_000)
    expected = naive_results(log)
    random.Random(seed).shuffle(log)
    assert {w: observed(acc) for w, acc in windows_of(log).items()} == expected


@given(
    st.lists(
        st.tuples(
            st.integers(0, 12),  # event id
            st.sampled_from(["view", "like", "a.completed", "a.failed", "goal.achieved"]),
            st.integers(0, 20),  # seconds into the window: ties are common
            st.sampled_from(
                [
                    {},
                    {"success": True},
                    {"success": False},
                    {"success_score": 7.5},
                    {"success_score": -3},
                    {"success_score": 99.9},
                    {"success_score": 1.234567},
                    {"success": "yes", "success_score": 2},
                    {"campaign_type": "email"},
                    {"industry": "x"},
                ]
            ),
        ),
        max_size=25,
    ),
    st.randoms(use_true_random=False),
)
def test_observations_do_not_depend_on_order_or_copies(
    rows: list[tuple[int, str, int, dict[str, object]]], rng: random.Random
) -> None:
    log = [
        event(f"e-{number}", event_type=kind, at_ms=DAY_MS + second * 1000, data=data)
        for number, kind, second, data in rows
    ]
    expected = naive_results(log)
    again = [*log, *log[::2]]
    rng.shuffle(again)
    assert {w: observed(acc) for w, acc in windows_of(again).items()} == expected


def test_conflicting_bodies_leave_the_same_winner_once_repair_has_read_the_whole_window() -> None:
    """Engines see one window each; repair sees one event per identity, and so does the oracle."""
    log = random_log(11, events=1_500, conflicts=0.2)
    expected = naive_results(log)
    repaired = {w: observed(acc) for w, acc in windows_of(winners(log)).items()}
    assert repaired == expected
    moved = {(e.client_id, e.event_id): e for e in winners(log)}
    unharmed = {
        window: observed(accumulator)
        for window, accumulator in windows_of(log).items()
        if all(
            window_start(moved[window[0], e.event_id].event_time) == window[2]
            for e in accumulator.ordered()
        )
    }
    assert unharmed
    assert unharmed.items() <= expected.items()


def test_differences_of_revisions_add_up_to_the_oracles_totals() -> None:
    log = random_log(7, events=1_500)
    totals: defaultdict[PatternKey, Delta] = defaultdict(lambda: Delta(0, 0))
    for accumulator in windows_of(log).values():
        events = accumulator.ordered()
        half = WindowAccumulator(events[: len(events) // 2])
        for old, new in ((None, detect(half)), (detect(half), detect(accumulator))):
            for key, delta in difference(old, new).items():
                totals[key] = totals[key] + delta
    assert {
        (key.industry, key.campaign_type, key.path): (delta.trials, delta.success_ppm)
        for key, delta in totals.items()
        if delta
    } == naive_totals(log)
