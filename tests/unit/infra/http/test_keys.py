"""How long a key is believed, and what happens while the key store is away."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from infra.clock import ManualClock
from infra.errors import RetryLater
from infra.http.keys import KeyCache

KEY = f"ssk_abcdefgh_{'s' * 43}"
OTHER_SECRET = f"ssk_abcdefgh_{'t' * 43}"
REFRESH_MS = 10_000


@dataclass(frozen=True)
class Stored:
    key_id: str = "abcdefgh"
    key_hash: bytes = hashlib.sha256(KEY.encode()).digest()
    client_id: str = "acme"
    scopes: frozenset[str] = frozenset(("ingest",))
    revoked: bool = False


class Store:
    def __init__(self) -> None:
        self.key: Stored | None = Stored()
        self.away = False
        self.asked = 0

    def find(self, key_id: str) -> Stored | None:
        self.asked += 1
        if self.away:
            raise RetryLater("the store is away")
        return self.key if self.key and key_id == self.key.key_id else None


class Scene:
    def __init__(self) -> None:
        self.store = Store()
        self.clock = ManualClock()
        self.cache = KeyCache(self.store.find, clock=self.clock, refresh_ms=REFRESH_MS)

    async def client(self, key: str = KEY) -> str | None:
        principal = await self.cache.authenticate(key)
        return principal.client_id if principal else None


def play(scenario: Callable[[Scene], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        scene = Scene()
        try:
            return await scenario(scene)
        finally:
            scene.cache.close()

    return asyncio.run(run())


def test_a_known_key_is_its_client_and_the_store_is_asked_once() -> None:
    async def scenario(scene: Scene) -> None:
        assert await scene.client() == "acme"
        assert await scene.client() == "acme"
        assert scene.store.asked == 1

    play(scenario)


@pytest.mark.parametrize("key", ["", "x", "ssk_abcdefgh_short", f"ssk_abc'--h_{'s' * 43}", "é"])
def test_what_cannot_be_a_key_is_refused_without_asking(key: str) -> None:
    async def scenario(scene: Scene) -> None:
        assert await scene.client(key) is None
        assert scene.store.asked == 0

    play(scenario)


def test_a_wrong_secret_under_a_known_id_is_refused_and_remembered() -> None:
    async def scenario(scene: Scene) -> None:
        assert await scene.client(OTHER_SECRET) is None
        assert await scene.client(OTHER_SECRET) is None
        assert scene.store.asked == 1

    play(scenario)


def test_a_revoked_key_stops_working_within_two_refreshes() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.client()
        scene.store.key = Stored(revoked=True)
        scene.clock.advance_ms(2 * REFRESH_MS)
        assert await scene.client() is None

    play(scenario)


def test_a_key_due_for_a_refresh_is_used_while_it_is_read_again() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.client()
        scene.store.key = Stored(revoked=True)
        scene.clock.advance_ms(REFRESH_MS)
        assert await scene.client() == "acme"
        while scene.cache._lookups:
            await asyncio.gather(*scene.cache._lookups.values())
        assert await scene.client() is None

    play(scenario)


def test_known_keys_go_on_working_while_the_store_is_away() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.client()
        scene.store.away = True
        scene.clock.advance_ms(100 * REFRESH_MS)
        assert await scene.client() == "acme"
        assert scene.cache.trouble

    play(scenario)


def test_an_unknown_key_cannot_be_judged_while_the_store_is_away() -> None:
    async def scenario(scene: Scene) -> None:
        scene.store.away = True
        with pytest.raises(RetryLater):
            await scene.client()
        scene.store.away = False
        scene.clock.advance_ms(REFRESH_MS)
        assert await scene.client() == "acme"
        assert scene.cache.trouble is None

    play(scenario)


def test_a_store_that_is_away_is_not_asked_for_every_request() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.client()
        scene.store.away = True
        scene.clock.advance_ms(3 * REFRESH_MS)
        for _ in range(50):
            assert await scene.client() == "acme"
        assert scene.store.asked == 2

    play(scenario)


def test_many_requests_with_one_new_key_ask_the_store_once() -> None:
    async def scenario(scene: Scene) -> None:
        clients = await asyncio.gather(*(scene.client() for _ in range(100)))
        assert set(clients) == {"acme"}
        assert scene.store.asked == 1

    play(scenario)


def test_refused_keys_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.http.keys._REFUSED_MAX", 5)

    async def scenario(scene: Scene) -> None:
        for number in range(20):
            assert await scene.client(f"ssk_{number:08d}_{'s' * 43}") is None
        assert len(scene.cache._refused) == 5

    play(scenario)
