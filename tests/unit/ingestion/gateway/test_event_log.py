"""What the gateway does while the log is away."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from infra.clock import ManualClock
from infra.errors import RetryLater
from infra.kafka.loop_producer import LoopProducer
from ingestion.gateway.event_log import EventLog
from tests.unit.ingestion.gateway.fakes import FakeProducer

RECORDS = [(b"s", b"{}")]


def event_log() -> tuple[EventLog, FakeProducer]:
    producer = FakeProducer()
    return EventLog(cast(LoopProducer, producer), ManualClock()), producer


def test_while_the_log_is_away_only_a_few_requests_wait_for_it() -> None:
    async def scenario() -> None:
        log, producer = event_log()
        producer.failure = "down"
        with pytest.raises(RetryLater):
            await log.append(RECORDS, 0)
        producer.hold = True
        waiting = [asyncio.create_task(log.append(RECORDS, 0)) for _ in range(20)]
        await asyncio.sleep(0)
        assert sum(task.done() for task in waiting) == 16
        producer.release()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(outcome, RetryLater) for outcome in outcomes)

    asyncio.run(scenario())


def test_the_first_success_ends_the_trouble() -> None:
    async def scenario() -> None:
        log, producer = event_log()
        producer.failure = "down"
        with pytest.raises(RetryLater):
            await log.append(RECORDS, 0)
        assert log.trouble == "down"
        producer.failure = None
        await log.append(RECORDS, 0)
        assert log.trouble is None

    asyncio.run(scenario())


def test_a_full_queue_is_trouble_too() -> None:
    async def scenario() -> None:
        log, producer = event_log()
        producer.full = True
        with pytest.raises(RetryLater):
            await log.append(RECORDS, 0)
        assert log.trouble is not None

    asyncio.run(scenario())


def test_unconfirmed_events_are_refused_while_the_log_is_known_to_be_away() -> None:
    async def scenario() -> None:
        log, producer = event_log()
        producer.failure = "down"
        log.append_unconfirmed(RECORDS, 0)
        await asyncio.sleep(0)
        producer.outstanding = 1
        with pytest.raises(RetryLater):
            log.append_unconfirmed(RECORDS, 0)

    asyncio.run(scenario())
