"""Windows are half-open and stand on the epoch; the watermark follows the log alone.

w0              w1              w2
|[ - - - - - - )|[ - - - - - - )|
0           299999              600000  ms
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_jobs.patterns.watermark import PartitionWatermark, combined, has_fired
from stream_jobs.patterns.window import WINDOW_SIZE_MS, window_end, window_start


@pytest.mark.parametrize(
    ("event_time", "start"),
    [(0, 0), (299_999, 0), (300_000, 300_000), (599_999, 300_000), (-1, -300_000)],
)
def test_the_first_millisecond_belongs_to_the_window_and_the_end_to_the_next(
    event_time: int, start: int
) -> None:
    assert window_start(event_time) == start


@given(st.integers(-(10**14), 10**14))
def test_every_moment_lies_in_exactly_one_window(event_time: int) -> None:
    start = window_start(event_time)
    assert start <= event_time < window_end(start)
    assert start % WINDOW_SIZE_MS == 0


def test_the_watermark_is_the_largest_time_minus_five_seconds() -> None:
    watermark = PartitionWatermark()
    for event_time in (10_000, 30_000, 20_000):
        watermark.advance(event_time, event_time + 7)
    assert watermark.value == 25_000


def test_a_sender_whose_clock_runs_ahead_does_not_move_the_watermark_past_the_receipt() -> None:
    watermark = PartitionWatermark()
    watermark.advance(event_time=9_000_000, received_at=100_000)
    assert watermark.value == 95_000


#   w0 = [0 - - - - - - - - 300000)              is over once every moment before 300000 is
#
#   record seen at   watermark     moments that are over     w0
#        304999        299999      … 299998                  open: 299999 may still come
#        305000        300000      … 299999                  fires: later arrivals are late
@pytest.mark.parametrize(("seen_ms", "late"), [(304_999, False), (305_000, True), (305_001, True)])
def test_an_event_is_late_once_every_moment_of_its_window_is_over(seen_ms: int, late: bool) -> None:
    watermark = PartitionWatermark()
    watermark.advance(seen_ms, seen_ms)
    for inside in (0, 299_999):
        assert watermark.is_late(inside) is late
    assert not watermark.is_late(300_000)


def test_a_window_fires_at_the_watermark_that_makes_its_events_late() -> None:
    for watermark in (299_999, 300_000, 300_001):
        assert has_fired(0, watermark) is PartitionWatermark(watermark).is_late(0)
        assert has_fired(0, watermark) is (watermark >= 300_000)
    assert not has_fired(0, None)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1),
    st.randoms(use_true_random=False),
)
def test_the_watermark_never_goes_back_and_ends_the_same_in_any_order(
    records: list[tuple[int, int]], rng: random.Random
) -> None:
    ends = []
    for _ in range(2):
        watermark = PartitionWatermark()
        seen: list[int] = []
        for event_time, received_at in records:
            watermark.advance(event_time, received_at)
            assert watermark.value is not None
            seen.append(watermark.value)
        assert seen == sorted(seen)
        ends.append(watermark.value)
        rng.shuffle(records)
    assert ends[0] == ends[1] == max(map(min, records)) - 5_000


@given(st.lists(st.integers(0, 10**6), min_size=1), st.integers(0, 10**6))
def test_what_the_own_partition_calls_late_holds_all_that_the_whole_log_calls_late(
    others: list[int], own: int
) -> None:
    """The engines' watermark is the smallest, so it is never ahead of one partition's."""
    everywhere = combined([own, *others])
    for event_time in range(0, 10**6, 50_000):
        if has_fired(window_start(event_time), everywhere):
            assert PartitionWatermark(own).is_late(event_time)


def test_nothing_is_late_in_a_partition_that_has_seen_nothing() -> None:
    assert not PartitionWatermark().is_late(0)


def test_the_slowest_partition_holds_the_watermark_back() -> None:
    assert combined([5, 3, 9]) == 3
    assert combined([5, None]) is None
    assert combined([]) is None
