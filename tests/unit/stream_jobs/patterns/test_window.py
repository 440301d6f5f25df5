"""Windows are half-open and stand on the epoch; the watermark follows the log alone.

w0              w1              w2
|[ - - - - - - )|[ - - - - - - )|
0           299999              600000  ms
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_jobs.patterns.watermark import PartitionWatermark, combined
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


#   events in w0 |- - - - - -)|          |
#                0            300000     305000
#   watermark                 ^ at 304999: w0 is open      ^ at 305000: w0 has fired
@pytest.mark.parametrize(("seen_ms", "late"), [(304_999, False), (305_000, True)])
def test_an_event_is_late_from_the_moment_its_window_may_have_fired(
    seen_ms: int, late: bool
) -> None:
    watermark = PartitionWatermark()
    watermark.advance(seen_ms, seen_ms)
    assert watermark.is_late(299_999) is late
    assert not watermark.is_late(300_000)


def test_nothing_is_late_in_a_partition_that_has_seen_nothing() -> None:
    assert not PartitionWatermark().is_late(0)


def test_the_slowest_partition_holds_the_watermark_back() -> None:
    assert combined([5, 3, 9]) == 3
    assert combined([5, None]) is None
