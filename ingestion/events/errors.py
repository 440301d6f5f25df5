"""Errors of the event contract; all of them say: reject this record, go on with the next.

EventError
├── MalformedJson      the bytes are not acceptable JSON
├── RejectedEvent      the event breaks a rule of the contract
└── MalformedRecord    a record of the log is not in the form that the codec writes
"""

from __future__ import annotations


class EventError(ValueError):
    """Reject the record."""


class MalformedJson(EventError):
    """`reason` in words and `position` in bytes or characters (-1 when unknown)."""

    def __init__(self, reason: str, position: int = -1) -> None:
        super().__init__(reason if position < 0 else f"{reason} at position {position}")
        self.reason = reason
        self.position = position


class RejectedEvent(EventError):
    """Names the event, the field, the reason and what to do about it."""

    def __init__(
        self,
        field: str,
        reason: str,
        remedy: str,
        *,
        code: str = "invalid",
        event_id: str | None = None,
    ) -> None:
        super().__init__(f"{field} {reason}; {remedy}")
        self.field = field
        self.reason = reason
        self.remedy = remedy
        self.code = code
        self.event_id = event_id


class MalformedRecord(EventError):
    """`reason` is one of a small set of words, fit for a metric label; `detail` is for people."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
