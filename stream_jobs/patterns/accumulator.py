"""The state of a window: the set of its events by id. Order and copies do not matter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ingestion.events.event import Event

FIELD_SEPARATOR = "\x1f"
LINE_SEPARATOR = "\x1e"
NULL = "\x02"
_VERSION_PREFIX = b"w1\n"
_FIELDS = 8


class WindowEvent(NamedTuple):
    """What a window keeps of an event."""

    event_id: str
    body_hash: str
    event_time: int
    event_type: str
    industry: str | None
    campaign_type: str | None
    success: bool | None
    success_score: float | None

    @classmethod
    def of(cls, event: Event) -> WindowEvent:
        facts = event.facts
        return cls(
            event.event_id,
            event.body_hash,
            event.event_time,
            event.event_type,
            facts.industry,
            facts.campaign_type,
            facts.success,
            facts.success_score,
        )

    def to_line(self) -> str:
        """One line; no field can hold the separators, which are control characters."""
        success = NULL if self.success is None else ("true" if self.success else "false")
        return FIELD_SEPARATOR.join(
            (
                self.event_id,
                self.body_hash,
                str(self.event_time),
                self.event_type,
                NULL if self.industry is None else self.industry,
                NULL if self.campaign_type is None else self.campaign_type,
                success,
                NULL if self.success_score is None else repr(self.success_score),
            )
        )

    @classmethod
    def from_line(cls, line: str) -> WindowEvent:
        """Inverse of `to_line`.

        Raises:
            ValueError: not such a line.
        """
        event_id, body_hash, time, kind, industry, campaign, success, score = line.split(
            FIELD_SEPARATOR
        )
        if not event_id or not kind or success not in _BOOLEANS:
            raise ValueError("event id or type is empty, or success is not a truth value")
        return cls(
            event_id,
            body_hash,
            int(time),
            kind,
            None if industry == NULL else industry,
            None if campaign == NULL else campaign,
            _BOOLEANS[success],
            None if score == NULL else float(score),
        )


_BOOLEANS = {NULL: None, "true": True, "false": False, "TRUE": True, "FALSE": False}


class WindowAccumulator:
    """`add`, `merge` (union) and a versioned byte form; the zero is the empty accumulator."""

    __slots__ = ("_events",)

    def __init__(self, events: Iterable[WindowEvent] = ()) -> None:
        self._events: dict[str, WindowEvent] = {}
        for event in events:
            self.add(event)

    def add(self, event: WindowEvent) -> None:
        """Of two copies the one with the smaller (body hash, event time) stays."""
        present = self._events.get(event.event_id)
        if present is None or (event.body_hash, event.event_time) < (
            present.body_hash,
            present.event_time,
        ):
            self._events[event.event_id] = event

    def merge(self, other: WindowAccumulator) -> WindowAccumulator:
        merged = WindowAccumulator(self._events.values())
        for event in other._events.values():
            merged.add(event)
        return merged

    @property
    def revision(self) -> int:
        """Number of distinct events: rises by itself and survives replays."""
        return len(self._events)

    def ordered(self) -> list[WindowEvent]:
        """Events by (event time, event id)."""
        return sorted(self._events.values(), key=lambda e: (e.event_time, e.event_id))

    def to_bytes(self) -> bytes:
        return _VERSION_PREFIX + LINE_SEPARATOR.join(e.to_line() for e in self.ordered()).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> WindowAccumulator:
        """Inverse of `to_bytes`.

        Raises:
            ValueError: another version or damaged bytes.
        """
        if not raw.startswith(_VERSION_PREFIX):
            raise ValueError("accumulator bytes of an unknown version")
        text = raw[len(_VERSION_PREFIX) :].decode()
        return cls(WindowEvent.from_line(line) for line in text.split(LINE_SEPARATOR) if line)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WindowAccumulator) and self._events == other._events

    __hash__ = None  # type: ignore[assignment]
