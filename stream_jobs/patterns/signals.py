"""How far an event speaks of success, by its facts or else by its type."""

from __future__ import annotations

from collections.abc import Mapping

from stream_jobs.patterns.accumulator import WindowEvent

PPM = 1_000_000
_SCORE_TO_PPM = 100_000  # score 10 is full success

_SUFFIXES = {
    ".accepted": PPM,
    ".approved": PPM,
    ".completed": PPM,
    ".dismissed": 0,
    ".rejected": 0,
    ".failed": 0,
    ".abandoned": 0,
}
_TYPES = {"goal.achieved": PPM}


class SignalTable:
    """Event type → success in ppm; exact types win over suffixes. Extended by a setting."""

    def __init__(self, extra: Mapping[str, float] | None = None) -> None:
        """`extra` maps an event type, or `*.suffix`, to success in [0, 1].

        Raises:
            ValueError: a value is outside [0, 1].
        """
        self._types = dict(_TYPES)
        self._suffixes = dict(_SUFFIXES)
        for name, success in (extra or {}).items():
            if not 0 <= success <= 1:
                raise ValueError(f"signal of {name!r} is {success}, it must lie in [0, 1]")
            target = self._suffixes if name.startswith("*.") else self._types
            target[name.removeprefix("*")] = round(success * PPM)

    def of(self, event: WindowEvent) -> int | None:
        """Success in parts per million, None where the event says nothing about it."""
        if event.success is not None:
            return PPM if event.success else 0
        if event.success_score is not None:
            return round(event.success_score * _SCORE_TO_PPM)
        known = self._types.get(event.event_type)
        if known is not None:
            return known
        dot = event.event_type.rfind(".")
        return self._suffixes.get(event.event_type[dot:]) if dot >= 0 else None


DEFAULT_SIGNALS = SignalTable()
