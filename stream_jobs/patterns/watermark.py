"""The clock of the log: how far event time has come, as a function of the records alone.

A watermark W says that every moment before W is over, so the half-open window [start, end) has
fired once end <= W. Engines that read a watermark as "up to and including" (Flink fires at
end - 1) must be given W - 1, else they drop an event in the one millisecond in which nobody here
has called it late.
"""

from __future__ import annotations

from collections.abc import Iterable

from stream_jobs.patterns.window import window_end, window_start

OUT_OF_ORDERNESS_MS = 5_000


class PartitionWatermark:
    """Largest min(event_time, received_at) seen in one partition, minus the allowed disorder.

    `value` is None before the first record, heartbeats included.
    """

    __slots__ = ("value",)

    def __init__(self, value: int | None = None) -> None:
        self.value = value

    def advance(self, event_time: int, received_at: int) -> None:
        """Take in one record; both times in ms.

        A sender whose clock runs ahead must not make everybody else late: hence the min.
        """
        candidate = min(event_time, received_at) - OUT_OF_ORDERNESS_MS
        if self.value is None or candidate > self.value:
            self.value = candidate

    def is_late(self, event_time: int) -> bool:
        """True when the event's window may already have fired. Ask before `advance`."""
        return has_fired(window_start(event_time), self.value)


def has_fired(start: int, watermark: int | None) -> bool:
    """True when a watermark closes the window that begins at `start` (ms)."""
    return watermark is not None and window_end(start) <= watermark


def combined(values: Iterable[int | None]) -> int | None:
    """The watermark over partitions: the smallest, None while one has none."""
    smallest: int | None = None
    for value in values:
        if value is None:
            return None
        smallest = value if smallest is None else min(smallest, value)
    return smallest
