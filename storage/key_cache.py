"""API keys checked from memory; the store is asked only when what is known is old.

A key that was seen goes on working while the store is away. While the store answers, a revoked key
is refused `refresh_ms` later where it is in steady use, and `_TRUST_MS` later at the latest.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from infra.clock import Clock
from infra.errors import RetryLater
from infra.http.auth import Principal
from storage.postgres.keys import StoredKey, hash_key

T = TypeVar("T")

_KEY = re.compile(r"ssk_([A-Za-z0-9]{8})_[A-Za-z0-9]{43}")
_TRUST_MS = 25_000
# An id that is in no store: short, so that a key made a moment ago works at once.
_UNKNOWN_MS = 1_000
_KNOWN_MAX = 10_000
# Apart from the known ones, so that guesses never push a tenant's key out.
_UNKNOWN_MAX = 1_000


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the store said of one key id, and when; no principal when the key is revoked."""

    key_hash: bytes
    principal: Principal | None
    read_at_s: float


class CachedAuthenticator:
    """Implements `infra.http.Authenticator` over a blocking look-up.

    `find` is `KeyStore.find`, run in `executor`. Use from one event loop.
    """

    def __init__(
        self,
        find: Callable[[str], StoredKey | None],
        *,
        clock: Clock,
        refresh_ms: int,
        executor: Executor | None = None,
    ) -> None:
        self._find = find
        self._clock = clock
        self._refresh_s = min(refresh_ms, _TRUST_MS) / 1000
        self._executor = executor
        self._known: OrderedDict[str, _Entry] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._reading: dict[str, asyncio.Task[_Entry | None]] = {}

    async def authenticate(self, secret: str) -> Principal | None:
        """The key's principal; None for a malformed, wrong, unknown or revoked key.

        Raises:
            RetryLater: the key was never seen here and the store is away.
        """
        shape = _KEY.fullmatch(secret)
        if shape is None:
            return None
        entry = await self._entry(shape[1])
        if entry is None or not hmac.compare_digest(entry.key_hash, hash_key(secret)):
            return None
        return entry.principal

    async def _entry(self, key_id: str) -> _Entry | None:
        now_s = self._clock.monotonic()
        entry = self._known.get(key_id)
        if entry is None:
            missed_at_s = self._unknown.get(key_id)
            if missed_at_s is not None and now_s - missed_at_s < _UNKNOWN_MS / 1000:
                return None
            return await self._first_read(key_id)
        self._known.move_to_end(key_id)
        age_s = now_s - entry.read_at_s
        if age_s < self._refresh_s:
            return entry
        reading = self._read(key_id)
        if age_s < _TRUST_MS / 1000:
            return entry
        try:
            return await asyncio.shield(reading)
        except RetryLater:
            return entry

    async def _first_read(self, key_id: str) -> _Entry | None:
        try:
            return await asyncio.shield(self._read(key_id))
        except RetryLater as away:
            # What the store said may name hosts, and the caller is not known yet.
            raise RetryLater(
                "The API key cannot be checked at the moment.",
                remedy="Send the same request again.",
            ) from away

    def _read(self, key_id: str) -> asyncio.Task[_Entry | None]:
        """One look-up at a time for each key id, shared by everyone who waits for it."""
        task = self._reading.get(key_id)
        if task is None:
            task = asyncio.create_task(self._look_up(key_id))
            self._reading[key_id] = task
            task.add_done_callback(self._read_ended)
            task.add_done_callback(lambda _task: self._reading.pop(key_id, None))
        return task

    @staticmethod
    def _read_ended(task: asyncio.Task[_Entry | None]) -> None:
        """Look at the outcome: a refresh that fails behind an answer is simply tried again."""
        if not task.cancelled():
            task.exception()

    async def _look_up(self, key_id: str) -> _Entry | None:
        read_at_s = self._clock.monotonic()
        loop = asyncio.get_running_loop()
        stored = await loop.run_in_executor(self._executor, self._find, key_id)
        if stored is None:
            self._known.pop(key_id, None)
            _put(self._unknown, key_id, read_at_s, _UNKNOWN_MAX)
            return None
        principal = Principal(stored.client_id, stored.key_id, stored.scopes)
        entry = _Entry(stored.key_hash, None if stored.revoked else principal, read_at_s)
        _put(self._known, key_id, entry, _KNOWN_MAX)
        return entry


def _put(entries: OrderedDict[str, T], key_id: str, value: T, entries_max: int) -> None:
    """Remember, and forget the entries not used for longest."""
    entries[key_id] = value
    entries.move_to_end(key_id)
    while len(entries) > entries_max:
        entries.popitem(last=False)
