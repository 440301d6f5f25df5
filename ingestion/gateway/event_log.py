"""The log as the gateway sees it: append, and know that every record is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from infra import log
from infra.clock import Clock
from infra.errors import RetryLater
from infra.kafka.loop_producer import KeyedValue, LoopProducer
from infra.metrics import ACK_SECONDS, EVENTS_ACCEPTED
from infra.topics import DEAD_LETTERS, LEARNING_EVENTS

# While the log is away, this many requests at a time find out whether it is back.
_PROBES_MAX = 4
_ACCEPTED_IN_KAFKA = EVENTS_ACCEPTED.labels("kafka")
_ACCEPTED_UNCONFIRMED = EVENTS_ACCEPTED.labels("none")


class EventLog:
    """Appends to the topics of events and dead letters."""

    def __init__(self, producer: LoopProducer, clock: Clock) -> None:
        self._producer = producer
        self._clock = clock
        self._waiting = 0
        self._log = log.get("event-log")
        self.trouble: str | None = None

    async def append(
        self, records: Sequence[KeyedValue], received_at: int, dead: Sequence[KeyedValue] = ()
    ) -> None:
        """Return when the log holds all events and all dead letters.

        Raises:
            RetryLater: it does not hold all of them; those it may hold are safe to send again.
        """
        if self.trouble and self._waiting >= _PROBES_MAX:
            raise self._away()
        started = self._clock.monotonic()
        self._waiting += 1
        try:
            if dead:
                await self._appended(DEAD_LETTERS.name, dead, received_at)
            if records:
                await self._appended(LEARNING_EVENTS.name, records, received_at)
        finally:
            self._waiting -= 1
        ACK_SECONDS.observe(self._clock.monotonic() - started)
        _ACCEPTED_IN_KAFKA.inc(len(records))

    def append_unconfirmed(self, records: Sequence[KeyedValue], received_at: int) -> None:
        """Hand the events over without waiting; losses show in metrics and log only.

        Raises:
            RetryLater: the log is known to be away, or its queue is full.
        """
        if self.trouble and self._producer.outstanding:
            raise self._away()
        self._producer.publish(LEARNING_EVENTS.name, records, received_at, self._noticed)
        _ACCEPTED_UNCONFIRMED.inc(len(records))

    async def _appended(self, topic: str, records: Sequence[KeyedValue], received_at: int) -> None:
        reported: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        def done(failure: str | None) -> None:
            if not reported.done():
                reported.set_result(failure)

        try:
            self._producer.publish(topic, records, received_at, done)
        except RetryLater as full:
            self._noticed(full.message)
            raise self._away() from full
        failure = await reported
        if failure is not None or self.trouble:
            self._noticed(failure)
        if failure is not None:
            raise self._away()

    def _noticed(self, failure: str | None) -> None:
        if failure is None and self.trouble:
            self._log.info("the log takes records again")
        elif failure is not None and not self.trouble:
            self._log.warning("the log does not confirm records", cause=failure)
        self.trouble = failure

    def _away(self) -> RetryLater:
        return RetryLater(
            "The events are not stored: the log does not confirm them at the moment.",
            remedy="Send the same request again, with the same event ids; that is safe.",
        )
