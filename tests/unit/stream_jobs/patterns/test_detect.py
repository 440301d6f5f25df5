"""From a window to observations, one rule per test. Times are seconds into one window."""

from __future__ import annotations

from typing import Any

import pytest

from stream_jobs.patterns.accumulator import WindowAccumulator
from stream_jobs.patterns.detect import detect
from tests.support.builders import DAY_MS, window_event


def success_by_path(
    *rows: tuple[int, str, dict[str, Any]],
) -> dict[tuple[str, ...] | None, int]:
    window = WindowAccumulator(
        window_event(f"e-{n}", event_type=kind, at_ms=DAY_MS + second * 1000, data=data)
        for n, (second, kind, data) in enumerate(rows)
    )
    return {o.path: o.success_ppm for o in detect(window)}


def test_an_empty_window_has_no_observations() -> None:
    assert detect(WindowAccumulator()) == ()


#   0s view   1s view   2s like(success)
#   steps:  view > like
def test_repeats_collapse_and_every_path_of_one_to_three_steps_is_one_trial() -> None:
    seen = success_by_path((0, "view", {}), (1, "view", {}), (2, "like", {"success": True}))
    assert seen == {None: 1_000_000, ("view",): 1_000_000, ("like",): 0, ("view", "like"): 0}


#   0s a   1s b   2s a   3s b   4s done
#          ^ a>b ends here first: what follows counts
def test_success_is_what_comes_after_the_first_occurrence() -> None:
    seen = success_by_path(
        (0, "a", {}), (1, "b", {}), (2, "a", {}), (3, "b", {}), (4, "done", {"success_score": 4})
    )
    assert seen["a", "b"] == 400_000
    assert seen["b", "a", "b"] == 400_000
    assert seen["done",] == 0


def test_a_path_never_has_more_than_three_steps() -> None:
    seen = success_by_path(*((n, f"t{n}", {}) for n in range(6)))
    assert max(len(path) for path in seen if path) == 3


def test_the_context_is_the_last_known_value_in_the_window() -> None:
    window = WindowAccumulator(
        [
            window_event("e-1", at_ms=DAY_MS, data={"industry": "retail"}),
            window_event("e-2", at_ms=DAY_MS + 1, data={"industry": "media"}),
            window_event("e-3", at_ms=DAY_MS + 2),
        ]
    )
    assert {(o.industry, o.campaign_type) for o in detect(window)} == {("media", "unknown")}


def test_the_context_itself_succeeds_as_the_windows_largest_signal() -> None:
    seen = success_by_path((0, "a", {"success_score": 3}), (1, "b", {"success_score": 8}))
    assert seen[None] == 800_000


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("recommendation.accepted", 1_000_000),
        ("plan.approved", 1_000_000),
        ("lesson.completed", 1_000_000),
        ("goal.achieved", 1_000_000),
        ("offer.dismissed", 0),
        ("completed", 0),
        ("view", 0),
    ],
)
def test_event_types_speak_where_no_fact_does(event_type: str, expected: int) -> None:
    assert success_by_path((0, event_type, {}))[None] == expected


def test_a_fact_wins_over_the_event_type_and_success_over_score() -> None:
    assert success_by_path((0, "a.completed", {"success": False}))[None] == 0
    assert (
        success_by_path((0, "a.failed", {"success": True, "success_score": 1}))[None] == 1_000_000
    )


@pytest.mark.parametrize(
    ("score", "ppm"), [(-4, 0), (7.5, 750_000), (99, 1_000_000), (3.14159, 314_159)]
)
def test_scores_are_clipped_and_become_parts_per_million(score: float, ppm: int) -> None:
    assert success_by_path((0, "a", {"success_score": score}))[None] == ppm


def test_ties_in_time_are_ordered_by_event_id() -> None:
    seen = success_by_path((0, "b", {}), (0, "a", {}))  # e-0 is b, e-1 is a
    assert ("b", "a") in seen
    assert ("a", "b") not in seen


#   0s a   1s a(success)
#   the path has ended with the first a: its repeat comes after it
def test_a_repeat_of_the_last_step_comes_after_the_path() -> None:
    seen = success_by_path((0, "a", {}), (1, "a", {"success": True}))
    assert seen == {None: 1_000_000, ("a",): 1_000_000}


def test_an_event_is_not_its_own_success() -> None:
    assert success_by_path((0, "a", {"success": True})) == {None: 1_000_000, ("a",): 0}


def test_the_context_comes_first_and_paths_follow_in_order() -> None:
    window = WindowAccumulator(
        window_event(f"e-{n}", event_type=kind, at_ms=DAY_MS + n)
        for n, kind in enumerate(["b", "a", "c", "b"])
    )
    paths = [o.path for o in detect(window)]
    assert paths[0] is None
    assert paths[1:] == sorted(path for path in paths[1:] if path)
