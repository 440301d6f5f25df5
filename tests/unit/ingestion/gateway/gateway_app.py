"""The gateway's routes over a log in memory."""

from __future__ import annotations

import itertools
import json
from typing import Any, cast

from infra.clock import ManualClock
from infra.http import App, Principal
from infra.kafka.loop_producer import LoopProducer
from infra.topics import DEAD_LETTERS, LEARNING_EVENTS
from ingestion.events.codec import decode
from ingestion.events.dead_letter import DeadLetter
from ingestion.events.event import Event
from ingestion.gateway.event_log import EventLog
from ingestion.gateway.routes import EventRoutes
from tests.unit.ingestion.gateway.fakes import FakeProducer

NOW_MS = 1_795_400_000_000
EVENTS_MAX = 5


class OneKey:
    async def authenticate(self, secret: str) -> Principal | None:
        return Principal("acme", "k", frozenset(("ingest",))) if secret == "key" else None


class Gateway:
    def __init__(self) -> None:
        self.producer = FakeProducer()
        self.clock = ManualClock(NOW_MS)
        self.event_log = EventLog(cast(LoopProducer, self.producer), self.clock)
        numbers = itertools.count(1)
        routes = EventRoutes(
            self.event_log,
            clock=self.clock,
            new_id=lambda: f"made-{next(numbers)}",
            events_max=EVENTS_MAX,
        )
        self.app = App(routes.routes(), process="test", authenticator=OneKey())

    @property
    def events(self) -> list[Event]:
        return [decode(p.value) for p in self.producer.published if p.topic == LEARNING_EVENTS.name]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        return [
            DeadLetter.from_bytes(p.value)
            for p in self.producer.published
            if p.topic == DEAD_LETTERS.name
        ]


def event(**fields: Any) -> dict[str, Any]:
    """A sound event, changed by `fields`; None takes a field out."""
    sound = {"event_id": "e-1", "session_id": "s-1", "event_type": "a.b", **fields}
    return {name: value for name, value in sound.items() if value is not None}


def lines(*events: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)
