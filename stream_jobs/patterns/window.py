"""Tumbling windows on the epoch, half-open: [k·300 000, (k+1)·300 000) ms."""

from __future__ import annotations

WINDOW_SIZE_MS = 300_000


def window_start(event_time: int) -> int:
    """Start (ms, inclusive) of the window that holds `event_time` (ms); floors below zero too."""
    return event_time - event_time % WINDOW_SIZE_MS


def window_end(start: int) -> int:
    """End (ms, exclusive) of the window that starts at `start`."""
    return start + WINDOW_SIZE_MS
