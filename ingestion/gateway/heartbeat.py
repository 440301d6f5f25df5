"""Say what time it is in partitions where nobody else does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from infra import log
from infra.clock import Clock
from infra.errors import SagestreamError
from infra.kafka.admin import KafkaAdmin
from infra.kafka.loop_producer import LoopProducer
from infra.metrics import HEARTBEATS
from infra.topics import LEARNING_EVENTS
from ingestion.events.codec import heartbeat
from ingestion.events.event import HEARTBEAT_TYPE

_SCAN_S = 2.0
_KEY = HEARTBEAT_TYPE.encode()

# Blocking: partition → offset after its last record.
ReadEnds = Callable[[], Mapping[int, int]]


class QuietPartitions:
    """Which partitions had no new record for a while; pure, told the time."""

    def __init__(self, idle_ms: int) -> None:
        self._idle_ms = idle_ms
        self._seen: dict[int, tuple[int, int]] = {}

    def observe(self, ends: Mapping[int, int], now_ms: int) -> list[int]:
        """Partitions whose end has not moved for `idle_ms`; a new one counts from now on."""
        quiet = []
        for partition, end in sorted(ends.items()):
            seen = self._seen.get(partition)
            if seen is None or seen[0] != end:
                self._seen[partition] = (end, now_ms)
            elif now_ms - seen[1] >= self._idle_ms:
                quiet.append(partition)
        return quiet


class LogEnds:
    """Reads the ends of the event topic; blocking.

    The client is made anew after a failure: one that has seen a broker die goes on asking with
    the old leader epochs and is refused for ever.
    """

    def __init__(self, connect: Callable[[], KafkaAdmin]) -> None:
        self._connect = connect
        self._admin: KafkaAdmin | None = None

    def __call__(self) -> dict[int, int]:
        """Partition → offset after its last record.

        Raises:
            RetryLater: the log is away.
        """
        admin = self._admin or self._connect()
        self._admin = None
        ends = admin.end_offsets([LEARNING_EVENTS])
        self._admin = admin
        return {partition: end for (_, partition), end in ends.items()}


class Heartbeats:
    """Looks at the log every two seconds and writes a record where it stands still."""

    def __init__(
        self, producer: LoopProducer, read_ends: ReadEnds, clock: Clock, idle_ms: int
    ) -> None:
        self._producer = producer
        self._read_ends = read_ends
        self._clock = clock
        self._quiet = QuietPartitions(idle_ms)
        self._log = log.get("heartbeat")
        self.trouble: str | None = None

    async def run(self) -> None:
        """For ever; an outage is logged once and waited out."""
        while True:
            try:
                await self.beat()
            except SagestreamError as error:
                self._noticed(error.message)
            except Exception as error:
                self._noticed(f"{type(error).__name__}: {error}")
            else:
                self._noticed(None)
            await asyncio.sleep(_SCAN_S)

    async def beat(self) -> int:
        """One look; returns how many heartbeats were written.

        Raises:
            RetryLater: the log is away.
        """
        ends = await asyncio.to_thread(self._read_ends)
        now_ms = self._clock.now_ms()
        quiet = self._quiet.observe(ends, now_ms)
        for partition in quiet:
            record = (_KEY, heartbeat(partition, now_ms))
            fate = self._producer.publish(LEARNING_EVENTS.name, [record], now_ms, partition)
            fate.add_done_callback(lambda done: self._written(done.result()))
        return len(quiet)

    def _written(self, failure: str | None) -> None:
        if failure is None:
            HEARTBEATS.inc()
        else:
            self._noticed(failure)

    def _noticed(self, trouble: str | None) -> None:
        if trouble and not self.trouble:
            self._log.warning("heartbeats cannot be written", cause=trouble)
        elif self.trouble and not trouble:
            self._log.info("heartbeats are written again")
        self.trouble = trouble
