"""One request's events on their way from bytes to records of the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ingestion.events.admission import admit
from ingestion.events.codec import encode
from ingestion.events.errors import RejectedEvent
from ingestion.events.key import partition_key


@dataclass(frozen=True, slots=True)
class Intake:
    """What is the same for all events of a request."""

    client_id: str
    received_at: int
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that was not let in, by its place in the request (from 0)."""

    index: int
    error: RejectedEvent


@dataclass(slots=True)
class Batch:
    """Accepted events as (key, value) records, and what the answer has to say.

    `event_ids` has one entry per record; `made` are the places in it whose id was made here;
    `wrong_type_keys` counts known keys of the wrong type.
    """

    records: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    made: list[int] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    wrong_type_keys: dict[str, int] = field(default_factory=dict)

    def add(self, index: int, raw: Any, intake: Intake) -> None:
        """Judge one decoded event by the reference rules."""
        try:
            admitted = admit(
                raw,
                client_id=intake.client_id,
                received_at=intake.received_at,
                new_id=intake.new_id,
            )
        except RejectedEvent as error:
            self.refusals.append(Refusal(index, error))
            return
        event = admitted.event
        if not admitted.dedupable:
            self.made.append(len(self.event_ids))
        for key in admitted.wrong_type_keys:
            self.wrong_type_keys[key] = self.wrong_type_keys.get(key, 0) + 1
        self.event_ids.append(event.event_id)
        self.records.append((partition_key(event), encode(event)))
