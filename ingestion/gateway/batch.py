"""One request's events on their way from bytes to records of the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ingestion.events.admission import admit
from ingestion.events.codec import encode
from ingestion.events.errors import MalformedJson, RejectedEvent
from ingestion.events.key import partition_key


class Intake(NamedTuple):
    """What is the same for all events of a request."""

    client_id: str
    received_at: int
    new_id: Callable[[], str]


class Refusal(NamedTuple):
    """An event that was not let in, by its place in the request (from 0)."""

    place: int
    error: RejectedEvent


class Batch:
    """Accepted events as (key, value) records, and what the answer has to say.

    `event_ids` has one entry per record; `made` are the places in it whose id was made here;
    `wrong_type_keys` counts known keys of the wrong type.
    """

    __slots__ = ("event_ids", "made", "records", "refusals", "wrong_type_keys")

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes]] = []
        self.event_ids: list[str] = []
        self.made: list[int] = []
        self.refusals: list[Refusal] = []
        self.wrong_type_keys: dict[str, int] = {}

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

    def refuse(self, index: int, error: MalformedJson) -> None:
        """The event at this place is not acceptable JSON."""
        refusal = RejectedEvent(
            "event", f"is not acceptable JSON: {error}", "send valid JSON", code="malformed_json"
        )
        self.refusals.append(Refusal(index, refusal))
