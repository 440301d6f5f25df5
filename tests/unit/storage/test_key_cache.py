"""Keys checked from memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.clock import ManualClock
from infra.errors import RetryLater
from infra.http.auth import Principal
from storage.key_cache import CachedAuthenticator
from storage.postgres.errors import PostgresAway
from storage.postgres.keys import StoredKey, hash_key

KEY = f"ssk_abcdefgh_{'s' * 43}"
OTHER_SECRET = f"ssk_abcdefgh_{'t' * 43}"
UNKNOWN = f"ssk_zzzzzzzz_{'s' * 43}"


class Store:
    """Stands in for `KeyStore.find`."""

    def __init__(self) -> None:
        self.revoked = False
        self.away = False
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()

    def find(self, key_id: str) -> StoredKey | None:
        self.asked += 1
        self.gate.wait(5)
        if self.away:
            raise PostgresAway("connection to server at 10.0.0.1 refused")
        if key_id != "abcdefgh":
            return None
        return StoredKey(key_id, hash_key(KEY), "acme", frozenset({"read"}), self.revoked)


class Setup:
    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.store = Store()
        self.clock = ManualClock()
        self.cache = CachedAuthenticator(
            self.store.find, clock=self.clock, refresh_ms=10_000, executor=executor
        )

    async def client(self, key: str = KEY) -> str | None:
        principal = await self.cache.authenticate(key)
        return principal.client_id if principal else None

    async def settled(self) -> None:
        """Until no look-up is under way."""
        while self.cache._reading:
            await asyncio.wait(list(self.cache._reading.values()))
            await asyncio.sleep(0)


@pytest.fixture
def setup() -> Iterator[Setup]:
    with ThreadPoolExecutor(2) as executor:
        yield Setup(executor)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario()

    asyncio.run(whole())


def test_a_good_key_gives_its_tenant_and_scopes(setup: Setup) -> None:
    async def scenario() -> None:
        principal = await setup.cache.authenticate(KEY)
        assert principal == Principal("acme", "abcdefgh", frozenset({"read"}))

    run(scenario)


@pytest.mark.parametrize("key", ["", "ssk_abcdefgh_short", "x" * 10_000, KEY + "\n", f"{KEY}é"])
def test_what_cannot_be_a_key_never_reaches_the_store(setup: Setup, key: str) -> None:
    async def scenario() -> None:
        assert await setup.client(key) is None
        assert setup.store.asked == 0

    run(scenario)


def test_a_wrong_secret_of_a_known_id_is_refused(setup: Setup) -> None:
    async def scenario() -> None:
        assert await setup.client() == "acme"
        assert await setup.client(OTHER_SECRET) is None
        assert setup.store.asked == 1

    run(scenario)


def test_a_key_is_read_once_while_it_is_fresh(setup: Setup) -> None:
    async def scenario() -> None:
        for _ in range(5):
            assert await setup.client() == "acme"
        assert setup.store.asked == 1

    run(scenario)


def test_many_callers_of_a_cold_key_share_one_look_up(setup: Setup) -> None:
    async def scenario() -> None:
        setup.store.gate.clear()
        callers = [asyncio.create_task(setup.client()) for _ in range(50)]
        await asyncio.sleep(0)
        setup.store.gate.set()
        assert set(await asyncio.gather(*callers)) == {"acme"}
        assert setup.store.asked == 1

    run(scenario)


def test_a_caller_that_gives_up_does_not_take_the_look_up_with_it(setup: Setup) -> None:
    async def scenario() -> None:
        setup.store.gate.clear()
        gives_up = asyncio.create_task(setup.client())
        stays = asyncio.create_task(setup.client())
        await asyncio.sleep(0)
        gives_up.cancel()
        setup.store.gate.set()
        assert await stays == "acme"

    run(scenario)


def test_an_old_key_is_answered_from_memory_and_read_again_behind_it(setup: Setup) -> None:
    async def scenario() -> None:
        await setup.client()
        setup.store.revoked = True
        setup.clock.advance_ms(10_001)
        assert await setup.client() == "acme"
        await setup.settled()
        assert await setup.client() is None

    run(scenario)


def test_a_revoked_key_is_refused_at_its_first_use_after_a_quiet_half_minute(setup: Setup) -> None:
    async def scenario() -> None:
        await setup.client()
        setup.store.revoked = True
        setup.clock.advance_ms(25_001)
        assert await setup.client() is None

    run(scenario)


def test_known_keys_work_while_the_store_is_away(setup: Setup) -> None:
    async def scenario() -> None:
        await setup.client()
        setup.store.away = True
        for _ in range(3):
            setup.clock.advance_ms(60_000)
            assert await setup.client() == "acme"
            assert await setup.client(OTHER_SECRET) is None

    run(scenario)


def test_an_unseen_key_has_to_wait_while_the_store_is_away(setup: Setup) -> None:
    async def scenario() -> None:
        setup.store.away = True
        with pytest.raises(RetryLater) as caught:
            await setup.client()
        assert "10.0.0.1" not in str(caught.value)
        setup.store.away = False
        assert await setup.client() == "acme"

    run(scenario)


def test_guesses_are_looked_up_once_a_second(setup: Setup) -> None:
    async def scenario() -> None:
        for _ in range(5):
            assert await setup.client(UNKNOWN) is None
        assert setup.store.asked == 1
        setup.clock.advance_ms(1_001)
        await setup.client(UNKNOWN)
        assert setup.store.asked == 2

    run(scenario)


def test_guesses_never_push_out_a_known_key(setup: Setup) -> None:
    async def scenario() -> None:
        await setup.client()
        for number in range(1_200):
            await setup.client(f"ssk_{number:08d}_{'s' * 43}")
        asked = setup.store.asked
        assert await setup.client() == "acme"
        assert setup.store.asked == asked
        assert len(setup.cache._unknown) == 1_000

    run(scenario)
