"""Read records in batches, with offsets owned by the caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Consumer as _LibraryConsumer

from infra.errors import CannotRun, RetryLater
from infra.kafka.config import consumer_config

_PROBE_TIMEOUT_S = 1.0
PartitionKey = tuple[str, int]
# Given the partitions just assigned, where to start each; a missing one starts at the beginning.
StartOffsets = Callable[[Sequence[PartitionKey]], Mapping[PartitionKey, int]]


class ConsumedRecord(NamedTuple):
    """One record as read; `key` and `value` are the raw bytes, None where Kafka held null."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int


class BatchConsumer:
    """A group member that returns lists of records.

    With `start_offsets` the positions come from the caller's own store at each assignment (and
    Kafka's committed ones are only informative); without it they are the group's committed
    offsets. Assignment changes happen inside `read`, so never while a batch is being handled.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        group: str,
        topics: Sequence[str],
        client_id: str,
        start_offsets: StartOffsets | None = None,
        on_assigned: Callable[[Sequence[PartitionKey]], None] | None = None,
    ) -> None:
        self._start_offsets = start_offsets
        self._on_assigned = on_assigned
        self._assigned: set[PartitionKey] = set()
        # The offset after the last record returned, or where reading begins if that is known.
        self._next: dict[PartitionKey, int] = {}
        self._brokers_away = False
        self._library = _LibraryConsumer(
            {**consumer_config(bootstrap, group, client_id), "error_cb": self._on_error}
        )
        self._library.subscribe(list(topics), on_assign=self._assign, on_revoke=self._revoke)

    @property
    def assignment(self) -> frozenset[PartitionKey]:
        return frozenset(self._assigned)

    def read(self, records_max: int, wait_s: float) -> list[ConsumedRecord]:
        """Up to `records_max` records, waiting at most `wait_s` for them; maybe none.

        Raises:
            RetryLater: the broker is away. CannotRun: a fatal client error (ACL, fencing).
        """
        try:
            messages = self._library.consume(records_max, wait_s)
        except KafkaException as error:
            raise _as_ours(error.args[0]) from error
        records = []
        troubles = []
        for message in messages:
            trouble = message.error()
            if trouble is None:
                records.append(_as_record(message))
            else:
                troubles.append(trouble)
        # A passing trouble must not cost the records that came with it: they will not come again.
        for trouble in troubles:
            if trouble.fatal() or not records:
                raise _as_ours(trouble)
        for record in records:
            self._next[(record.topic, record.partition)] = record.offset + 1
        if self._brokers_away:
            self._ask_brokers(answered=bool(records))
        return records

    def commit(self, next_offsets: Mapping[PartitionKey, int]) -> None:
        """Tell the group coordinator (used by lag tools, and for positions where we keep none)."""
        if not next_offsets:
            return
        offsets = [TopicPartition(t, p, offset) for (t, p), offset in next_offsets.items()]
        try:
            self._library.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            raise _as_ours(error.args[0]) from error

    def seek(self, next_offsets: Mapping[PartitionKey, int]) -> None:
        """Go back, so that a batch that could not be stored is read again.

        Raises:
            RetryLater: some partition is not being read yet; seek all of them again.
        """
        for (topic, partition), offset in next_offsets.items():
            if (topic, partition) not in self._assigned:
                continue
            try:
                self._library.seek(TopicPartition(topic, partition, offset))
            except KafkaException as error:
                raise _as_ours(error.args[0]) from error
            self._next[(topic, partition)] = offset

    def lag(self) -> dict[PartitionKey, int]:
        """Records between our position and the last known end of each assigned partition."""
        lag = {}
        for topic, partition in sorted(self._assigned):
            low, high = self._library.get_watermark_offsets(
                TopicPartition(topic, partition), cached=True
            )
            if high >= 0:
                lag[(topic, partition)] = high - max(self._next.get((topic, partition), 0), low, 0)
        return lag

    def close(self) -> None:
        self._library.close()

    def _on_error(self, error: KafkaError) -> None:
        """Called while reading. The library reconnects by itself but never says so."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._brokers_away = True

    def _ask_brokers(self, *, answered: bool) -> None:
        """Without this, an empty log and a broker that is away look the same."""
        if not answered:
            try:
                self._library.list_topics(timeout=_PROBE_TIMEOUT_S)
            except KafkaException as error:
                raise _as_ours(error.args[0]) from error
        self._brokers_away = False

    def _assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        keys = [(p.topic, p.partition) for p in partitions]
        if self._start_offsets is not None:
            starts = self._start_offsets(keys)
            self._next = dict(starts)
            for partition in partitions:
                partition.offset = starts.get(
                    (partition.topic, partition.partition), OFFSET_BEGINNING
                )
        consumer.assign(partitions)
        self._assigned = set(keys)
        if self._on_assigned is not None:
            self._on_assigned(keys)

    def _revoke(self, _consumer: Any, partitions: list[TopicPartition]) -> None:
        self._assigned -= {(p.topic, p.partition) for p in partitions}


def _as_record(message: Any) -> ConsumedRecord:
    return ConsumedRecord(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        message.timestamp()[1],
    )


def _as_ours(error: KafkaError) -> RetryLater | CannotRun:
    if error.fatal():
        return CannotRun(
            f"The Kafka client cannot go on: {error.str()}.",
            remedy="Check credentials and ACLs, then start this process again.",
        )
    return RetryLater(
        f"Kafka cannot be read at the moment: {error.str()}.",
        remedy="Check the broker with `sagestream status`; reading goes on by itself.",
    )
