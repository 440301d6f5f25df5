"""The order in which parts start and stop."""

from __future__ import annotations

import threading

import pytest

from infra.local import graph

NEEDS: graph.Needs = {
    "jars": (),
    "kafka": ("jars",),
    "postgres": (),
    "topics": ("kafka",),
    "writer": ("topics", "postgres"),
}


def test_a_part_comes_after_everything_it_needs() -> None:
    ordered = graph.order(NEEDS)

    assert all(
        ordered.index(need) < ordered.index(name) for name, needs in NEEDS.items() for need in needs
    )


def test_parts_that_need_each_other_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"\['a', 'b'\]"):
        graph.order({"a": ("b",), "b": ("a",), "c": ()})


def test_asking_for_a_part_asks_for_what_it_needs_and_nothing_else() -> None:
    assert graph.closure(NEEDS, ["topics"]) == {"topics", "kafka", "jars"}


def test_taking_down_goes_from_dependents_to_needs() -> None:
    assert graph.order(graph.reverse(NEEDS))[0] == "writer"
    assert set(graph.reverse(NEEDS)["kafka"]) == {"topics"}


def test_every_action_runs_once_and_after_its_needs() -> None:
    seen: list[str] = []

    outcome = graph.run(NEEDS, seen.append)

    assert sorted(seen) == sorted(NEEDS)
    assert set(outcome.done) == set(NEEDS)
    assert seen.index("kafka") > seen.index("jars")
    assert seen.index("writer") > max(seen.index("topics"), seen.index("postgres"))


def test_parts_that_do_not_need_each_other_run_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=5)

    outcome = graph.run({"kafka": (), "postgres": ()}, lambda _name: void(together.wait()))

    assert not outcome.failed


def test_a_failure_skips_its_dependents_and_lets_the_others_go_on() -> None:
    def action(name: str) -> None:
        if name == "kafka":
            raise RuntimeError("broken")

    outcome = graph.run(NEEDS, action)

    assert list(outcome.failed) == ["kafka"]
    assert outcome.skipped == {"topics": "kafka", "writer": "kafka"}
    assert set(outcome.done) == {"jars", "postgres"}


def test_an_interrupt_is_told_to_the_actions_under_way_and_passed_on() -> None:
    interrupted = threading.Event()

    def action(name: str) -> None:
        if name == "first":
            raise KeyboardInterrupt
        assert interrupted.wait(5)

    with pytest.raises(KeyboardInterrupt):
        graph.run({"first": (), "second": ()}, action, interrupted.set)


def void(_value: object) -> None:
    return None
