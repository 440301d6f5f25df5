"""The accumulator is a set by event id: associative, commutative, idempotent, with a zero."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_jobs.patterns.accumulator import WindowAccumulator, WindowEvent

labels = st.none() | st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)
events = st.builds(
    WindowEvent,
    event_id=st.sampled_from("abcdef"),
    body_hash=st.sampled_from(["0a", "0b", "0c"]),
    event_time=st.integers(0, 300_000),
    event_type=st.sampled_from(["view", "like", "Order Completed", "a|b>c"]),
    industry=labels,
    campaign_type=labels,
    success=st.none() | st.booleans(),
    success_score=st.none() | st.floats(0, 10, allow_nan=False),
)


def event_of(event_id: str) -> WindowEvent:
    return WindowEvent(event_id, "1", 5, "view", None, None, None, None)


# Few ids, hashes and times, so that copies, conflicts and forged equal hashes are common.
_POOL = [
    WindowEvent(event_id, body_hash, time, kind, industry, None, success, score)
    for event_id in "abcd"
    for body_hash in ("0a", "0b")
    for time in (0, 7, 299_999)
    for kind, industry, success, score in (
        ("view", None, None, None),
        ("Order Completed", "caf\u00e9", True, None),
        ("a|b>c", "x", None, 7.5),
    )
]
logs = st.lists(st.sampled_from(_POOL), max_size=12)
accumulators = logs.map(WindowAccumulator)


@given(logs, st.randoms(use_true_random=False))
def test_order_and_copies_do_not_matter(log: list[WindowEvent], rng: random.Random) -> None:
    """Conflicting bodies and even forged equal hashes included: the strategy makes them all."""
    shuffled = log + log[:3]
    rng.shuffle(shuffled)
    assert WindowAccumulator(log) == WindowAccumulator(shuffled)
    assert WindowAccumulator(log).to_bytes() == WindowAccumulator(shuffled).to_bytes()


@given(accumulators, accumulators, accumulators)
def test_merge_is_associative_commutative_and_idempotent(
    a: WindowAccumulator, b: WindowAccumulator, c: WindowAccumulator
) -> None:
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(b) == b.merge(a)
    assert a.merge(a) == a


@given(logs, st.integers(0, 12))
def test_merging_parts_equals_adding_all(log: list[WindowEvent], cut: int) -> None:
    parts = WindowAccumulator(log[:cut]).merge(WindowAccumulator(log[cut:]))
    assert parts == WindowAccumulator(log)


def test_merge_leaves_both_sides_as_they_were() -> None:
    one, two = WindowAccumulator([event_of("a")]), WindowAccumulator([event_of("b")])
    one.merge(two)
    assert (one.revision, two.revision) == (1, 1)


@given(logs)
def test_events_are_ordered_by_time_then_id(log: list[WindowEvent]) -> None:
    keys = [(e.event_time, e.event_id) for e in WindowAccumulator(log).ordered()]
    assert keys == sorted(keys)


@given(events)
def test_a_line_gives_the_same_event_back(event: WindowEvent) -> None:
    assert WindowEvent.from_line(event.to_line()) == event


def test_the_truth_values_of_other_engines_are_understood() -> None:
    line = event_of("a")._replace(success=True).to_line()
    assert WindowEvent.from_line(line.replace("true", "TRUE")).success is True


@given(accumulators)
def test_bytes_give_the_same_set_back(accumulator: WindowAccumulator) -> None:
    assert WindowAccumulator.from_bytes(accumulator.to_bytes()) == accumulator


@given(accumulators)
def test_the_empty_accumulator_is_the_zero(accumulator: WindowAccumulator) -> None:
    assert accumulator.merge(WindowAccumulator()) == accumulator
    assert WindowAccumulator().merge(accumulator) == accumulator


def test_the_smallest_body_hash_wins_and_then_the_earlier_time() -> None:
    copies = [
        event_of("e")._replace(body_hash=body_hash, event_time=time)
        for body_hash, time in (("2", 1), ("1", 9), ("1", 7), ("3", 0))
    ]
    [kept] = WindowAccumulator(copies).ordered()
    assert (kept.body_hash, kept.event_time) == ("1", 7)


def test_the_revision_counts_distinct_events() -> None:
    assert WindowAccumulator([event_of("a"), event_of("b"), event_of("a")]).revision == 2


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a\x1fb",
        "\x1f" * 7,
        "e\x1fh\x1fsoon\x1fview\x1f\x02\x1f\x02\x1f\x02\x1f\x02",
        "e\x1fh\x1f5\x1fview\x1f\x02\x1f\x02\x1fmaybe\x1f\x02",
        "e\x1fh\x1f5\x1fview\x1f\x02\x1f\x02\x1f\x02\x1fnan",
        "e\x1fh\x1f5\x1fview\x1f\x02\x1f\x02\x1f\x02\x1fInfinity",
        "e\x1fh\x1f5\x1fview\x1f\x02\x1f\x02\x1f\x02\x1f10.1",
        "\x1fh\x1f5\x1fview\x1f\x02\x1f\x02\x1f\x02\x1f\x02",
        "e\x1fh\x1f5\x1f\x1f\x02\x1f\x02\x1f\x02\x1f\x02",
    ],
)
def test_a_damaged_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        WindowEvent.from_line(line)


def test_bytes_of_an_unknown_version_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown version"):
        WindowAccumulator.from_bytes(b"w9\n")


@pytest.mark.parametrize("tail", [b"x", b"\xff", b"\x1e"])
def test_damaged_bytes_are_refused(tail: bytes) -> None:
    whole = WindowAccumulator([event_of("a")]).to_bytes()
    with pytest.raises(ValueError, match=r".+"):
        WindowAccumulator.from_bytes(whole + tail)
