"""The only module that reads a clock; everything else is handed one."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time in whole milliseconds since the epoch (UTC), and a steady clock in seconds."""

    def now_ms(self) -> int: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class ManualClock:
    """A clock that moves only when told to; `sleep` moves it."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = float(now_ms)
        self._steady_s = 0.0

    def now_ms(self) -> int:
        return int(self._now_ms)

    def monotonic(self) -> float:
        return self._steady_s

    def sleep(self, seconds: float) -> None:
        self.advance_ms(seconds * 1000)

    def advance_ms(self, delta_ms: float) -> None:
        self._now_ms += delta_ms
        self._steady_s += delta_ms / 1000
