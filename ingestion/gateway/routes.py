"""The addresses of the gateway and what happens behind each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from infra.clock import Clock
from infra.errors import RetryLater
from infra.http import Request, Response, Route
from infra.metrics import EVENT_WRONG_TYPE_KEYS, EVENTS_REFUSED
from ingestion.events.segment import KINDS
from ingestion.gateway import answers, segment_intake
from ingestion.gateway.answers import CallsAccepted, EventsAccepted
from ingestion.gateway.batch import Batch, Intake
from ingestion.gateway.dead_letters import dead_letter
from ingestion.gateway.event_log import EventLog
from ingestion.gateway.intake import LINE_TYPES, read_events

# What browsers and curl put there by themselves is taken too; the body says what it is.
_CONTENT_TYPES = (
    "application/json",
    *LINE_TYPES,
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
)


class EventIn(msgspec.Struct, omit_defaults=True):
    """A learning event as sent; `timestamp` (ISO 8601) or `event_time` (ms), not both."""

    session_id: str
    event_type: str
    event_id: str | None = None
    user_id: str | None = None
    timestamp: str | None = None
    event_time: int | None = None
    event_data: dict[str, Any] | None = None


class EventsQuery(msgspec.Struct):
    """`ack=accepted` answers before the log has confirmed; `partial=true` takes the good events."""

    ack: Literal["stored", "accepted"] = "stored"
    partial: bool = False


_DEFAULT_QUERY = EventsQuery()


class EventRoutes:
    """Handlers that take events in."""

    def __init__(
        self, event_log: EventLog, *, clock: Clock, new_id: Callable[[], str], events_max: int
    ) -> None:
        self._event_log = event_log
        self._clock = clock
        self._new_id = new_id
        self._events_max = events_max

    def routes(self) -> list[Route]:
        events = Route(
            method="POST",
            path="/v1/events",
            handler=self.post_events,
            scope="ingest",
            summary="Send events: one, an array, or one per line",
            description="200 means that every event is confirmed by the log (`durability`). With "
            "one bad event nothing is stored, unless `partial=true`. 503 is safe to repeat.",
            query=EventsQuery,
            request=EventIn | list[EventIn],
            response=EventsAccepted,
            content_types=_CONTENT_TYPES,
        )
        return [events, *(self._segment_route(kind) for kind in (*KINDS, "batch"))]

    async def post_events(self, request: Request) -> Response:
        query = request.query_as(EventsQuery) if request.query_string else _DEFAULT_QUERY
        intake = self._intake(request)
        batch = await read_events(request, intake, self._events_max)
        _count(batch)
        if batch.refusals and not (query.partial and batch.event_ids):
            raise answers.refused(batch)
        try:
            if query.ack == "accepted":
                self._event_log.append_unconfirmed(batch.records, intake.received_at)
                return answers.accepted(batch, "none", query.partial)
            await self._event_log.append(batch.records, intake.received_at)
        except RetryLater as away:
            raise answers.not_stored(batch, away.message, away.remedy) from away
        return answers.accepted(batch, "kafka", query.partial)

    def _segment_route(self, kind: str) -> Route:
        async def handler(request: Request) -> Response:
            return await self.post_calls(request, kind)

        return Route(
            method="POST",
            path=f"/v1/{kind}",
            handler=handler,
            scope="ingest",
            summary=f"Segment's `{kind}` call",
            description="The write key is an API key. A call that is no event is kept as a dead "
            "letter with the reason; the others are stored.",
            request=dict[str, Any],
            response=CallsAccepted,
            content_types=_CONTENT_TYPES,
            body_key=segment_intake.key_in_body,
        )

    async def post_calls(self, request: Request, kind: str) -> Response:
        calls = segment_intake.read_calls(request, kind, self._events_max)
        intake = self._intake(request)
        batch = segment_intake.judge(calls, intake)
        _count(batch)
        dead = [
            dead_letter(refusal, calls[refusal.place].as_json(), request.path, intake)
            for refusal in batch.refusals
        ]
        try:
            await self._event_log.append(batch.records, intake.received_at, dead)
        except RetryLater as away:
            raise answers.not_stored(batch, away.message, away.remedy) from away
        return answers.calls_accepted(batch, len(dead))

    def _intake(self, request: Request) -> Intake:
        return Intake(request.tenant, self._clock.now_ms(), self._new_id)


def _count(batch: Batch) -> None:
    for refusal in batch.refusals:
        EVENTS_REFUSED.labels(refusal.error.code).inc()
    for key, count in batch.wrong_type_keys.items():
        EVENT_WRONG_TYPE_KEYS.labels(key).inc(count)
