"""Every topic: name, partitions, retention. Nothing else names a topic."""

from __future__ import annotations

from dataclasses import dataclass

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is created; replication comes from the profile."""

    name: str
    partitions: int
    retention_ms: int
    compression: str
    meaning: str


LEARNING_EVENTS = Topic(
    "learning-events", 32, 7 * _DAY_MS, "snappy", "accepted events, key = session_id"
)
SESSION_WINDOWS = Topic(
    "session-windows", 16, 7 * _DAY_MS, "snappy", "one message per closed window and revision"
)
PATTERN_UPDATES = Topic(
    "pattern-updates", 16, 30 * _DAY_MS, "snappy", "current row of each detected pattern that moved"
)
LATE_EVENTS = Topic(
    "learning-events.late", 16, 7 * _DAY_MS, "snappy", "events whose window had already fired"
)
DEAD_LETTERS = Topic(
    "learning-events.dlq", 4, 30 * _DAY_MS, "snappy", "records nobody could use, with the reason"
)

ALL_TOPICS = (LEARNING_EVENTS, SESSION_WINDOWS, PATTERN_UPDATES, LATE_EVENTS, DEAD_LETTERS)
