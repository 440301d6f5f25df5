"""Publish from an event loop: delivery reports are served on the loop's own thread.

A polling thread would have to win the interpreter lock once per report, which costs more than
the report itself when thousands arrive each second; so the loop polls, every few milliseconds,
and only while something is outstanding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as _LibraryProducer

from infra.errors import RetryLater
from infra.kafka.config import producer_config
from infra.kafka.producer import ANY_PARTITION

_POLL_S = 0.002
_OUTSTANDING_MAX = 200_000
_PURGE_POLLS_MAX = 20
# (key, value)
KeyedValue = tuple[bytes | None, bytes]
# None when the log holds every record, else what happened to the first loss.
Fate = asyncio.Future[str | None]


class LoopProducer:
    """One librdkafka producer owned by one event loop; every call must come from its thread.

    It may be made before the loop runs; the loop of the first `publish` is its loop.
    """

    def __init__(self, bootstrap: str, *, client_id: str, linger_ms: int, timeout_ms: int) -> None:
        self._config = producer_config(bootstrap, client_id, linger_ms, timeout_ms)
        self._library = _LibraryProducer(self._config)
        self._outstanding = 0
        self._polling: asyncio.TimerHandle | None = None
        self._broken = False

    @property
    def outstanding(self) -> int:
        """Records without a report."""
        return self._outstanding

    def publish(
        self,
        topic: str,
        records: Sequence[KeyedValue],
        timestamp_ms: int,
        partition: int = ANY_PARTITION,
    ) -> Fate:
        """Queue all records (at least one); the future gets their fate with the last report.

        Raises:
            RetryLater: the local queue is full. Some records may have been queued and may yet
                arrive, so the caller must treat all of them as maybe stored.
        """
        if self._broken:
            self._replace()
        if self._outstanding + len(records) > _OUTSTANDING_MAX:
            raise _full("too many records are waiting")
        loop = asyncio.get_running_loop()
        fate: Fate = loop.create_future()
        report = self._reporter(len(records), fate)
        produce = self._library.produce
        queued = 0
        try:
            for key, value in records:
                # By position: topic, value, key, partition, callback, on_delivery, timestamp.
                produce(topic, value, key, partition, report, report, timestamp_ms)
                queued += 1
        except (BufferError, KafkaException) as error:
            if isinstance(error, KafkaException) and error.args[0].fatal():
                self._broken = True
            raise _full(str(error)) from error
        finally:
            self._outstanding += queued
            if self._polling is None and self._outstanding:
                self._polling = loop.call_later(_POLL_S, self._poll)
        return fate

    async def close(self, timeout_s: float = 10.0) -> int:
        """Wait for outstanding reports; returns how many are still missing."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while self._outstanding and loop.time() < deadline:
            self._library.poll(0)
            await asyncio.sleep(_POLL_S)
        if self._polling is not None:
            self._polling.cancel()
            self._polling = None
        return self._outstanding

    def _reporter(self, expected: int, fate: Fate) -> Callable[[Any, Any], None]:
        remaining = expected
        failure: str | None = None

        def report(error: Any, _message: Any) -> None:
            nonlocal remaining, failure
            remaining -= 1
            self._outstanding -= 1
            if error is not None:
                failure = failure or error.str()
                if error.fatal() or error.code() == KafkaError._FATAL:
                    self._broken = True
            if not remaining and not fate.done():
                fate.set_result(failure)

        return report

    def _poll(self) -> None:
        self._library.poll(0)
        if self._outstanding:
            self._polling = asyncio.get_running_loop().call_later(_POLL_S, self._poll)
        else:
            self._polling = None

    def _replace(self) -> None:
        """A fatal error ends a librdkafka producer for good; its records are reported as lost."""
        old = self._library
        self._library = _LibraryProducer(self._config)
        self._broken = False
        old.purge()
        for _ in range(_PURGE_POLLS_MAX):
            if not len(old):
                break
            old.poll(0.05)


def _full(cause: str) -> RetryLater:
    return RetryLater(
        f"Kafka takes no more records at the moment ({cause}).",
        remedy="Send the same events again in a few seconds; their ids make that safe.",
    )
