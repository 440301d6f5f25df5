"""Create topics and look at the log from outside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from infra.errors import RetryLater
from infra.kafka.config import admin_config
from infra.kafka.consumer import PartitionKey
from infra.topics import Topic

_TIMEOUT_S = 10.0


class KafkaAdmin:
    """Topic administration and offsets; every call raises RetryLater when the broker is away."""

    def __init__(self, bootstrap: str) -> None:
        self._library = AdminClient(admin_config(bootstrap))
        self._bootstrap = bootstrap

    def topic_partitions(self) -> dict[str, int]:
        """Existing topics and their partition counts."""
        try:
            metadata = self._library.list_topics(timeout=_TIMEOUT_S)
        except KafkaException as error:
            raise self._away(error) from error
        return {name: len(topic.partitions) for name, topic in metadata.topics.items()}

    def create_missing(
        self, topics: Iterable[Topic], *, replication_factor: int, min_insync_replicas: int
    ) -> list[str]:
        """Create what does not exist; returns the names created."""
        wanted = [
            NewTopic(
                topic.name,
                num_partitions=topic.partitions,
                replication_factor=replication_factor,
                config={
                    "retention.ms": str(topic.retention_ms),
                    "compression.type": topic.compression,
                    "min.insync.replicas": str(min_insync_replicas),
                    "max.message.bytes": "4194304",
                },
            )
            for topic in topics
        ]
        created = []
        for name, future in self._library.create_topics(wanted).items():
            try:
                future.result(_TIMEOUT_S)
                created.append(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._away(error) from error
        return created

    def end_offsets(self, topics: Sequence[Topic]) -> dict[PartitionKey, int]:
        """The offset after the last record of every partition."""
        return self._offsets(topics, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def first_offsets(self, topics: Sequence[Topic]) -> dict[PartitionKey, int]:
        """The offset of the oldest record still kept in every partition."""
        return self._offsets(topics, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def groups(self) -> list[str]:
        """Names of the consumer groups that the broker knows."""
        try:
            listing = self._library.list_consumer_groups().result(_TIMEOUT_S)
        except KafkaException as error:
            raise self._away(error) from error
        return sorted(group.group_id for group in listing.valid)

    def group_offsets(self, group: str) -> dict[PartitionKey, int]:
        """Committed offsets of a group; empty for an unknown group."""
        request = [ConsumerGroupTopicPartitions(group)]
        try:
            result = self._library.list_consumer_group_offsets(request)[group].result(_TIMEOUT_S)
        except KafkaException as error:
            raise self._away(error) from error
        return {
            (entry.topic, entry.partition): entry.offset
            for entry in result.topic_partitions
            if entry.offset >= 0
        }

    def _offsets(self, topics: Sequence[Topic], spec: OffsetSpec) -> dict[PartitionKey, int]:
        request = {
            TopicPartition(topic.name, partition): spec
            for topic in topics
            for partition in range(topic.partitions)
        }
        try:
            futures = self._library.list_offsets(request)
            return {
                (at.topic, at.partition): future.result(_TIMEOUT_S).offset
                for at, future in futures.items()
            }
        except KafkaException as error:
            raise self._away(error) from error

    def _away(self, error: KafkaException) -> RetryLater:
        return RetryLater(
            f"Kafka at {self._bootstrap} does not answer ({error.args[0].str()}).",
            remedy="Run `sagestream status`, then `sagestream up` to start what is missing.",
        )
