"""Who gets a heartbeat, and when.

time      0s    2s    4s    6s    8s    10s   12s
part. 0   5     5     5     6     6     6     6     moved at 6 s: quiet from 16 s on
part. 1   3     3     3     3     3     3 ♥   4     quiet at 10 s; its heartbeat moves it
"""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from infra.clock import ManualClock
from infra.errors import RetryLater
from infra.kafka.admin import KafkaAdmin
from infra.kafka.loop_producer import LoopProducer
from ingestion.events.codec import decode
from ingestion.gateway.heartbeat import Heartbeats, LogEnds, QuietPartitions
from tests.unit.ingestion.gateway.fakes import FakeProducer

IDLE_MS = 10_000


def test_a_partition_is_quiet_when_its_end_stood_still_for_the_idle_time() -> None:
    quiet = QuietPartitions(IDLE_MS)
    ends = {0: [5, 5, 5, 6, 6, 6, 6], 1: [3, 3, 3, 3, 3, 3, 4]}
    found = [
        quiet.observe({partition: ends[partition][step] for partition in ends}, step * 2_000)
        for step in range(7)
    ]
    assert found == [[], [], [], [], [], [1], []]


def test_a_partition_seen_for_the_first_time_is_not_quiet() -> None:
    assert QuietPartitions(IDLE_MS).observe({0: 0}, 1_000_000) == []


def test_a_quiet_partition_gets_a_heartbeat_of_now_in_that_partition() -> None:
    async def scenario() -> None:
        producer, clock = FakeProducer(), ManualClock(1_000_000)
        beats = Heartbeats(cast(LoopProducer, producer), lambda: {7: 3}, clock, IDLE_MS)
        assert await beats.beat() == 0
        clock.advance_ms(IDLE_MS)
        assert await beats.beat() == 1
        (published,) = producer.published
        event = decode(published.value)
        assert event.is_heartbeat
        assert (published.partition, event.event_time) == (7, 1_010_000)

    asyncio.run(scenario())


def test_an_outage_is_waited_out_and_told() -> None:
    def away() -> dict[int, int]:
        raise RetryLater("the log is away")

    async def scenario() -> None:
        beats = Heartbeats(cast(LoopProducer, FakeProducer()), away, ManualClock(), IDLE_MS)
        running = asyncio.create_task(beats.run())
        while beats.trouble is None:
            await asyncio.sleep(0.001)
        assert not running.done()
        running.cancel()

    asyncio.run(scenario())


def test_a_heartbeat_that_is_not_confirmed_is_told() -> None:
    async def scenario() -> None:
        producer, clock = FakeProducer(), ManualClock()
        producer.failure = "down"
        beats = Heartbeats(cast(LoopProducer, producer), lambda: {0: 1}, clock, IDLE_MS)
        await beats.beat()
        clock.advance_ms(IDLE_MS)
        await beats.beat()
        await asyncio.sleep(0)
        assert beats.trouble == "down"

    asyncio.run(scenario())


def test_a_client_that_failed_is_not_asked_again() -> None:
    class Client:
        def __init__(self, fails: bool) -> None:
            self.fails = fails

        def end_offsets(self, _topics: object) -> dict[tuple[str, int], int]:
            if self.fails:
                raise RetryLater("old leader epoch")
            return {("learning-events", 3): 9}

    clients = [Client(True), Client(False)]
    ends = LogEnds(lambda: cast(KafkaAdmin, clients.pop(0)))
    with pytest.raises(RetryLater):
        ends()
    assert ends() == {3: 9}
    assert ends() == {3: 9}
    assert not clients


@pytest.mark.parametrize("idle_ms", [0, 1])
def test_even_without_patience_the_first_look_only_looks(idle_ms: int) -> None:
    assert QuietPartitions(idle_ms).observe({0: 9}, 50) == []
