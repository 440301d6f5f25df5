"""Blocking calls are bounded, and a store that is away is not waited for by everyone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from infra.http.errors import HttpError
from serving.store_calls import StoreCalls
from storage.postgres.errors import PostgresAway, SchemaMismatch
from storage.postgres.pool import Pool


class FakePool:
    """Connections that can be held back or refused."""

    def __init__(self) -> None:
        self.away = False
        self.tried = 0
        self.gate = threading.Event()
        self.gate.set()

    @contextmanager
    def connection(self) -> Iterator[Any]:
        self.tried += 1
        self.gate.wait(5)
        if self.away:
            raise PostgresAway("connection to server at 10.0.0.1 failed")
        yield "connection"


class Setup:
    def __init__(self) -> None:
        self.pool = FakePool()
        self.calls = StoreCalls(cast(Pool, self.pool), threads=2, waiting_max=3)

    async def ask(self) -> str:
        return await self.calls.run(lambda connection: f"from {connection}")

    async def status(self) -> int:
        try:
            await self.ask()
        except HttpError as problem:
            told = problem.response("r")
            return told.status if dict(told.headers) == {"Retry-After": "1"} else 0
        return 200


@pytest.fixture
def setup() -> Iterator[Setup]:
    made = Setup()
    yield made
    made.pool.gate.set()
    made.calls.close()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario()

    asyncio.run(whole())


def test_the_outcome_of_the_call_is_returned(setup: Setup) -> None:
    async def scenario() -> None:
        assert await setup.ask() == "from connection"

    run(scenario)


def test_a_store_that_is_away_is_503_without_its_address(setup: Setup) -> None:
    async def scenario() -> None:
        setup.pool.away = True
        with pytest.raises(HttpError) as caught:
            await setup.ask()
        assert caught.value.status == 503
        assert b"10.0.0.1" not in caught.value.response("r").body

    run(scenario)


def test_while_it_is_away_only_one_caller_at_a_time_tries(setup: Setup) -> None:
    async def scenario() -> None:
        setup.pool.away = True
        await setup.status()
        tried = setup.pool.tried
        setup.pool.gate.clear()
        one = asyncio.create_task(setup.status())
        await asyncio.sleep(0)
        assert [await setup.status() for _ in range(100)] == [503] * 100
        setup.pool.gate.set()
        assert await one == 503
        assert setup.pool.tried == tried + 1

    run(scenario)


def test_the_first_success_lets_everyone_in_again(setup: Setup) -> None:
    async def scenario() -> None:
        setup.pool.away = True
        await setup.status()
        setup.pool.away = False
        assert await setup.status() == 200
        assert await asyncio.gather(*(setup.status() for _ in range(5))) == [200] * 5

    run(scenario)


def test_more_than_can_wait_are_refused_at_once(setup: Setup) -> None:
    async def scenario() -> None:
        setup.pool.gate.clear()
        waiting = [asyncio.create_task(setup.status()) for _ in range(5)]
        await asyncio.sleep(0)
        assert await setup.status() == 503
        setup.pool.gate.set()
        assert await asyncio.gather(*waiting) == [200] * 5

    run(scenario)


def test_a_mistake_in_a_call_is_not_taken_for_a_store_that_is_away(setup: Setup) -> None:
    async def scenario() -> None:
        with pytest.raises(ZeroDivisionError):
            await setup.calls.run(lambda _connection: 1 / 0)
        assert await setup.status() == 200

    run(scenario)


def test_trouble_is_one_sentence_for_strangers(setup: Setup) -> None:
    async def scenario() -> None:
        assert await setup.calls.trouble(str) is None
        setup.pool.away = True
        assert await setup.calls.trouble(str) == "The pattern store is away at the moment."

    run(scenario)


def test_a_store_that_does_not_fit_is_trouble_too(setup: Setup) -> None:
    def unfit(_connection: object) -> None:
        raise SchemaMismatch("42P01: relation does not exist")

    async def scenario() -> None:
        assert "cannot be used" in str(await setup.calls.trouble(unfit))

    run(scenario)
