"""A learning event, version 1: the shared shape of gateway, log, engines and stores."""

from __future__ import annotations

from typing import NamedTuple

from ingestion.events.facts import Facts

HEARTBEAT_TYPE = "_heartbeat"


class Event(NamedTuple):
    """An accepted event. Times are ms since the epoch, UTC; `event_data` is canonical JSON."""

    event_id: str
    client_id: str
    session_id: str
    user_id: str | None
    event_type: str
    event_time: int
    received_at: int
    body_hash: str
    facts: Facts
    event_data: bytes

    @property
    def identity(self) -> tuple[str, str]:
        """Two events with the same identity are copies of one."""
        return (self.client_id, self.event_id)

    @property
    def precedence(self) -> tuple[str, int]:
        """Among copies of one identity the smallest precedence wins, in any order of arrival."""
        return (self.body_hash, self.event_time)

    @property
    def is_heartbeat(self) -> bool:
        return self.event_type == HEARTBEAT_TYPE
