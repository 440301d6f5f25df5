"""The partition key: the only definition of which events must stay in order."""

from __future__ import annotations

from ingestion.events.event import Event


def partition_key(event: Event) -> bytes:
    """All events of one session share a partition."""
    return event.session_id.encode()
