"""The log as the gateway sees it: append, and know that every record is there."""

from __future__ import annotations

from collections.abc import Sequence

from infra import log
from infra.clock import Clock
from infra.errors import RetryLater
from infra.kafka.loop_producer import Fate, KeyedValue, LoopProducer
from infra.metrics import ACK_SECONDS, EVENTS_ACCEPTED
from infra.topics import DEAD_LETTERS, LEARNING_EVENTS

# While the log is away, this many requests at a time find out whether it is back.
_PROBES_MAX = 4
_ACCEPTED_IN_KAFKA = EVENTS_ACCEPTED.labels("kafka")
_ACCEPTED_UNCONFIRMED = EVENTS_ACCEPTED.labels("none")


class EventLog:
    """Appends to the topics of events and dead letters.

    `trouble` says why the last append failed, None after one that succeeded.
    """

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
        if self.trouble is not None and self._waiting >= _PROBES_MAX:
            raise _away()
        started = self._clock.monotonic()
        self._waiting += 1
        failure: str | None = None
        try:
            for fate in self._publish(records, dead, received_at):
                failure = await fate or failure
        except RetryLater as full:
            failure = full.message
        finally:
            self._waiting -= 1
        if failure is not None or self.trouble is not None:
            self._noticed(failure)
        if failure is not None:
            raise _away()
        ACK_SECONDS.observe(self._clock.monotonic() - started)
        _ACCEPTED_IN_KAFKA.inc(len(records))

    def append_unconfirmed(self, records: Sequence[KeyedValue], received_at: int) -> None:
        """Hand the events over without waiting; losses show in `trouble` and the log only.

        Raises:
            RetryLater: the log is known to be away, or its queue is full.
        """
        if self.trouble is not None and self._producer.outstanding:
            raise _away()
        fate = self._producer.publish(LEARNING_EVENTS.name, records, received_at)
        fate.add_done_callback(lambda done: self._noticed(done.result()))
        _ACCEPTED_UNCONFIRMED.inc(len(records))

    def _publish(
        self, records: Sequence[KeyedValue], dead: Sequence[KeyedValue], received_at: int
    ) -> list[Fate]:
        fates = []
        if dead:
            fates.append(self._producer.publish(DEAD_LETTERS.name, dead, received_at))
        if records:
            fates.append(self._producer.publish(LEARNING_EVENTS.name, records, received_at))
        return fates

    def _noticed(self, failure: str | None) -> None:
        if failure is None and self.trouble is not None:
            self._log.info("the log takes records again")
        elif failure is not None and self.trouble is None:
            self._log.warning("the log does not confirm records", cause=failure)
        self.trouble = failure


def _away() -> RetryLater:
    return RetryLater(
        "The events are not stored: the log does not confirm them at the moment.",
        remedy="Send the same request again, with the same event ids; that is safe.",
    )
