"""From raw window messages to what the pattern writer stores."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.topics import SESSION_WINDOWS
from storage.postgres.window_store import OldResult
from storage.writers.totals_change import change_of
from storage.writers.window_batch import WindowBatch, prepare
from stream_jobs.patterns.detect import Observation
from stream_jobs.patterns.totals import Delta, PatternKey
from stream_jobs.patterns.window_result import WindowResult, observations_to_wire
from tests.support.builders import DAY_MS
from tests.support.kafka_log import MemoryLog

TOPIC = SESSION_WINDOWS.name
COVERAGE = (DAY_MS - 86_400_000, DAY_MS + 86_400_000)


def result(
    revision: int = 1, *, generation: int = 0, session: str = "s", context: str = "retail"
) -> WindowResult:
    """A window whose context succeeds and whose path has been seen `revision` long."""
    path = tuple(f"step-{n}" for n in range(min(max(revision, 1), 3)))
    observations = (
        Observation(context, "email", None, 1_000_000),
        Observation(context, "email", path, 500_000),
    )
    return WindowResult("acme", session, DAY_MS, 1, generation, revision, "flink", observations)


def batch_of(*results: WindowResult) -> WindowBatch:
    log = MemoryLog(TOPIC)
    for one in results:
        log.append(one.encode())
    return prepare(log.partitions[0], {}, coverage=COVERAGE, at_ms=1)


@given(st.permutations([(0, 1), (0, 3), (1, 0), (0, 2)]))
def test_the_newest_message_of_a_window_is_the_candidate(order: list[tuple[int, int]]) -> None:
    batch = batch_of(*(result(revision, generation=g) for g, revision in order))
    (candidate,) = batch.candidates.values()
    assert candidate.result.version == (1, 1, 0)
    assert batch.counts[TOPIC, 0].duplicates == 3


def test_every_message_is_counted_once() -> None:
    log = MemoryLog(TOPIC)
    for value in (result().encode(), b"noise", result(session="t").encode(), result().encode()):
        log.append(value)
    count = prepare(log.partitions[0], {}, coverage=COVERAGE, at_ms=1).counts[TOPIC, 0]
    assert (count.records, count.dead_letters, count.duplicates) == (4, 1, 1)


@pytest.mark.parametrize("end", [-1, 1])
def test_a_window_outside_the_months_kept_is_a_dead_letter(end: int) -> None:
    far = DAY_MS + end * 10 * 86_400_000
    one = result()
    moved = WindowResult(*one.window[:2], far, *one.version, one.engine, one.observations)
    (letter,) = batch_of(moved).letters
    assert letter.reason == "out_of_range"


def test_a_new_window_adds_its_trials() -> None:
    change = change_of([(result(), None)])
    key = PatternKey("retail", "email", ("step-0",))
    assert change.contexts == {("retail", "email"): Delta(1, 1_000_000)}
    assert (change.patterns[key].trials, change.patterns[key].success_ppm) == (1, 500_000)
    assert change.contributors == {(key, "acme"): 1}


def test_a_newer_result_adds_only_what_differs() -> None:
    change = change_of([(result(2), stored(result(1)))])
    assert change.contexts == {("retail", "email"): Delta(0, 0)}, "touched, so refreshed"
    assert {key.path: entry.trials for key, entry in change.patterns.items()} == {
        ("step-0",): -1,
        ("step-0", "step-1"): 1,
    }


def test_a_result_that_says_the_same_changes_nothing() -> None:
    change = change_of([(result(), stored(result()))])
    assert (change.patterns, change.contexts, change.contributors) == ({}, {}, {})


def test_a_result_of_another_algorithm_is_not_taken_back() -> None:
    old = stored(result())._replace(algorithm_version=99)
    assert change_of([(result(), old)]).contexts == {("retail", "email"): Delta(1, 1_000_000)}


def test_differences_add_up_in_any_grouping() -> None:
    rng = random.Random(1)
    steps = [(result(rng.randint(1, 3), session=f"s-{n}"), None) for n in range(30)]
    whole = change_of(steps)
    parts = [change_of(steps[:11]), change_of(steps[11:])]
    for key, entry in whole.patterns.items():
        assert entry.trials == sum(
            part.patterns[key].trials for part in parts if key in part.patterns
        )


def stored(one: WindowResult) -> OldResult:
    """The row that `one` left."""
    wire = json.loads(json.dumps(observations_to_wire(one.observations)))
    return OldResult(one.algorithm_version, *one.context, wire)
