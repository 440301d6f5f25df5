"""Publish records and know the fate of each one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka import Producer as _LibraryProducer

from infra.errors import RetryLater
from infra.kafka.config import producer_config

ANY_PARTITION = -1


class Record(NamedTuple):
    """One record to publish; `timestamp_ms` 0 means the time of sending."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int = 0
    partition: int = ANY_PARTITION


class DeliveryBatch:
    """Counts the delivery reports of one batch and calls `done(failures)` once, at the last.

    `done` runs on the producer's polling thread; `failures` holds one text per lost record.
    """

    __slots__ = ("_done", "_failures", "_remaining")

    def __init__(self, expected: int, done: Callable[[list[str]], None]) -> None:
        self._remaining = expected
        self._failures: list[str] = []
        self._done = done

    def report(self, error: Any, _message: Any) -> None:
        """The callback handed to librdkafka for every record of the batch."""
        if error is not None:
            self._failures.append(str(error))
        self._remaining -= 1
        if self._remaining == 0:
            self._done(self._failures)


class Producer:
    """One librdkafka producer and the thread that polls its reports."""

    def __init__(
        self, bootstrap: str, *, client_id: str, linger_ms: int = 5, timeout_ms: int = 5_000
    ) -> None:
        self._library = _LibraryProducer(
            producer_config(bootstrap, client_id, linger_ms, timeout_ms)
        )
        self._timeout_s = timeout_ms / 1000
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="kafka-reports", daemon=True)
        self._thread.start()

    def publish(self, records: Sequence[Record], done: Callable[[list[str]], None]) -> None:
        """Queue every record; `done(failures)` follows once, on the polling thread.

        Raises:
            RetryLater: the local queue is full. Some records may have been queued and may yet
                arrive, so the caller must treat all of them as maybe stored.
        """
        if not records:
            done([])
            return
        report = DeliveryBatch(len(records), done).report
        produce = self._library.produce
        try:
            for record in records:
                produce(
                    record.topic,
                    record.value,
                    record.key,
                    record.partition,
                    on_delivery=report,
                    timestamp=record.timestamp_ms,
                )
        except (BufferError, KafkaException) as error:
            raise RetryLater(
                f"Kafka takes no more records at the moment ({error}).",
                remedy="Send the same events again in a few seconds; their ids make that safe.",
            ) from error

    def publish_and_wait(self, records: Sequence[Record]) -> None:
        """Publish and return when every record has its delivery report.

        Raises:
            RetryLater: at least one record has no successful report within the timeout.
        """
        finished = threading.Event()
        outcome: list[str] = []

        def done(failures: list[str]) -> None:
            outcome.extend(failures)
            finished.set()

        self.publish(records, done)
        if not finished.wait(self._timeout_s + 5):
            outcome.append("no delivery report in time")
        if outcome:
            raise RetryLater(
                f"Kafka did not confirm {len(outcome)} of {len(records)} records ({outcome[0]}).",
                remedy="Check the broker with `sagestream status`; the records will be sent again.",
            )

    def queued(self) -> int:
        """Records waiting for their report."""
        return len(self._library)

    def close(self, timeout_s: float = 10.0) -> int:
        """Wait for outstanding reports; returns how many are still missing."""
        missing = int(self._library.flush(timeout_s))
        self._closing.set()
        self._thread.join(2)
        return missing

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._library.poll(0.05)
