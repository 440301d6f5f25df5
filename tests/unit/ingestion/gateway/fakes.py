"""The log in memory, with the faults of the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from infra.errors import RetryLater
from infra.kafka.loop_producer import ANY_PARTITION, Fate, KeyedValue


@dataclass(frozen=True)
class Published:
    topic: str
    key: bytes | None
    value: bytes
    timestamp_ms: int
    partition: int


class FakeProducer:
    """Publishes at once, or as told: `failure` for every record, `full`, or held until released."""

    def __init__(self) -> None:
        self.published: list[Published] = []
        self.failure: str | None = None
        self.full = False
        self.hold = False
        self.outstanding = 0
        self._held: list[Fate] = []

    def publish(
        self,
        topic: str,
        records: Sequence[KeyedValue],
        timestamp_ms: int,
        partition: int = ANY_PARTITION,
    ) -> Fate:
        if self.full:
            raise RetryLater("the queue is full")
        fate: Fate = asyncio.get_running_loop().create_future()
        if self.failure is None:
            self.published += [
                Published(topic, key, value, timestamp_ms, partition) for key, value in records
            ]
        if self.hold:
            self.outstanding += len(records)
            self._held.append(fate)
        else:
            fate.set_result(self.failure)
        return fate

    def release(self) -> None:
        for fate in self._held:
            fate.set_result(self.failure)
        self._held.clear()
        self.outstanding = 0
