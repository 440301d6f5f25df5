"""Which event types speak of success, and which rule wins."""

from __future__ import annotations

import pytest

from stream_jobs.patterns.signals import DEFAULT_SIGNALS, SignalTable
from tests.support.builders import window_event


def said(event_type: str, table: SignalTable = DEFAULT_SIGNALS) -> int | None:
    return table.of(window_event(event_type=event_type))


@pytest.mark.parametrize(
    ("event_type", "ppm"),
    [
        ("recommendation.accepted", 1_000_000),
        ("plan.approved", 1_000_000),
        ("course.lesson.completed", 1_000_000),
        ("goal.achieved", 1_000_000),
        ("offer.dismissed", 0),
        ("offer.rejected", 0),
        ("payment.failed", 0),
        ("cart.abandoned", 0),
        ("completed", None),
        ("my.goal.achieved", None),
        ("completed.view", None),
        ("view", None),
        ("Order Completed", None),
        (".", None),
    ],
)
def test_the_built_in_table(event_type: str, ppm: int | None) -> None:
    assert said(event_type) == ppm


def test_a_setting_adds_types_suffixes_and_prefixes() -> None:
    table = SignalTable({"lesson.passed": 1, "*.skipped": 0.25, "bonus.*": 0.5})
    assert said("lesson.passed", table) == 1_000_000
    assert said("x.skipped", table) == 250_000
    assert said("bonus.claimed.twice", table) == 500_000
    assert said("x.accepted", table) == 1_000_000


def test_a_setting_may_change_a_built_in_rule() -> None:
    assert said("x.accepted", SignalTable({"*.accepted": 0.9})) == 900_000


def test_an_exact_type_wins_over_a_suffix_and_a_suffix_over_a_prefix() -> None:
    table = SignalTable({"a.b.c": 0.1, "*.c": 0.2, "a.*": 0.3})
    assert [said(t, table) for t in ("a.b.c", "a.x.c", "a.x.y")] == [100_000, 200_000, 300_000]


def test_the_longer_rule_wins() -> None:
    table = SignalTable({"*.c": 0.2, "*.b.c": 0.4, "p.*": 0.6, "p.q.*": 0.8})
    assert [said(t, table) for t in ("a.b.c", "a.x.c")] == [400_000, 200_000]
    assert [said(t, table) for t in ("p.q.r", "p.x.r")] == [800_000, 600_000]


@pytest.mark.parametrize("rule", [{"a": 2}, {"a": -0.1}, {"a": float("nan")}])
def test_a_success_outside_its_range_is_refused(rule: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        SignalTable(rule)


@pytest.mark.parametrize("name", ["*", "", "a*b", "*.*", "a.*.b", "*."])
def test_a_star_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="star"):
        SignalTable({name: 1})
