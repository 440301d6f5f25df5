"""How far an event speaks of success, by its facts or else by its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stream_jobs.patterns.accumulator import WindowEvent

PPM: Final = 1_000_000
_SCORE_TO_PPM: Final = 100_000  # score 10 is full success

# The one table: success in [0, 1] of an exact type, of `*.suffix` or of `prefix.*`.
BUILT_IN: Final[Mapping[str, float]] = {
    "*.accepted": 1,
    "*.approved": 1,
    "*.completed": 1,
    "goal.achieved": 1,
    "*.dismissed": 0,
    "*.rejected": 0,
    "*.failed": 0,
    "*.abandoned": 0,
}


class SignalTable:
    """Event type → success. Extended by a setting; every engine must get the same extension.

    An exact type wins over a suffix, a suffix over a prefix, the longer rule over the shorter.
    """

    __slots__ = ("_prefixes", "_suffixes", "_types")

    def __init__(self, extra: Mapping[str, float] | None = None) -> None:
        """`extra` maps an event type, `*.suffix` or `prefix.*` to success in [0, 1].

        Raises:
            ValueError: a value is outside [0, 1], or a star stands elsewhere.
        """
        self._types: dict[str, int] = {}
        self._suffixes: dict[str, int] = {}
        self._prefixes: dict[str, int] = {}
        for rule, success in {**BUILT_IN, **(extra or {})}.items():
            if not 0 <= success <= 1:
                raise ValueError(f"signal of {rule!r} is {success}, it must lie in [0, 1]")
            target, name = self._types, rule
            if rule.startswith("*."):
                target, name = self._suffixes, rule[1:]
            elif rule.endswith(".*"):
                target, name = self._prefixes, rule[:-1]
            if "*" in name or not name.strip("."):
                raise ValueError(f"signal {rule!r}: a star may only be '*.' first or '.*' last")
            target[name] = round(success * PPM)

    def of(self, event: WindowEvent) -> int | None:
        """Success in parts per million, None where the event says nothing about it.

        The fact `success` wins over `success_score`, and that over the event's type.
        """
        if event.success is not None:
            return PPM if event.success else 0
        if event.success_score is not None:
            return round(event.success_score * _SCORE_TO_PPM)
        return self.of_type(event.event_type)

    def of_type(self, event_type: str) -> int | None:
        """What the table says of a type, in parts per million."""
        known = self._types.get(event_type)
        if known is not None:
            return known
        dot = event_type.find(".")
        if dot < 0:
            return None
        dots = [dot]
        while (dot := event_type.find(".", dot + 1)) >= 0:
            dots.append(dot)
        for dot in dots:
            known = self._suffixes.get(event_type[dot:])
            if known is not None:
                return known
        if self._prefixes:
            for dot in reversed(dots):
                known = self._prefixes.get(event_type[: dot + 1])
                if known is not None:
                    return known
        return None


DEFAULT_SIGNALS: Final = SignalTable()
