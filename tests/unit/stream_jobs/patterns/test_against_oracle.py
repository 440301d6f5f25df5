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
from tests.support.naive_patterns import Seen, naive_results, naive_totals

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
            st.sampled_from(["view", "like", "a.completed", "a.failed"]),
            st.integers(0, 20),  # seconds into the window: ties are common
            st.sampled_from(
                [
                    {},
                    {"success": True},
                    {"success": False},
                    {"success_score": 7.5},
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
