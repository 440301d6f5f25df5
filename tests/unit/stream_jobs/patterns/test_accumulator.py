"""The accumulator is a set by event id: associative, commutative, idempotent, with a zero."""

from __future__ import annotations

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
# Bodies are equal when hashes are: make the body a function of (id, hash, time).
accumulators = st.lists(events, max_size=12).map(
    lambda found: WindowAccumulator(
        {(e.event_id, e.body_hash, e.event_time): e for e in found}.values()
    )
)


@given(st.lists(events, max_size=12), st.randoms(use_true_random=False))
def test_order_and_copies_do_not_matter(found, rng) -> None:  # type: ignore[no-untyped-def]
    unique = list({(e.event_id, e.body_hash, e.event_time): e for e in found}.values())
    shuffled = unique + unique[:3]
    rng.shuffle(shuffled)
    assert WindowAccumulator(unique) == WindowAccumulator(shuffled)


@given(accumulators)
def test_bytes_give_the_same_set_back(accumulator: WindowAccumulator) -> None:
    assert WindowAccumulator.from_bytes(accumulator.to_bytes()) == accumulator


@given(accumulators)
def test_the_empty_accumulator_is_the_zero(accumulator: WindowAccumulator) -> None:
    assert accumulator.merge(WindowAccumulator()) == accumulator
    assert WindowAccumulator().merge(accumulator) == accumulator


def test_merge_is_associative_and_keeps_the_winner_of_each_identity() -> None:
    def one(body_hash: str) -> WindowAccumulator:
        return WindowAccumulator([WindowEvent("e", body_hash, 5, "view", None, None, None, None)])

    a, b, c = one("2"), one("1"), one("3")
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == one("1")


def test_the_revision_counts_distinct_events() -> None:
    made = WindowEvent("e", "1", 5, "view", None, None, None, None)
    assert WindowAccumulator([made, made]).revision == 1


@pytest.mark.parametrize(
    "line",
    ["", "a\x1fb", "\x1f" * 7, "e\x1fh\x1fsoon\x1fview\x1f\x02\x1f\x02\x1f\x02\x1f\x02"],
)
def test_a_damaged_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        WindowEvent.from_line(line)


def test_bytes_of_an_unknown_version_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown version"):
        WindowAccumulator.from_bytes(b"w9\n")
