"""API keys checked from memory, so that a store that is away stops nobody who is known."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from infra import log
from infra.clock import Clock
from infra.errors import RetryLater
from infra.http.auth import Principal

_KEY = re.compile(r"ssk_([A-Za-z0-9]{8})_[A-Za-z0-9_-]{43}")
_KNOWN_MAX = 20_000
_REFUSED_MAX = 10_000
_LOOKUPS_MAX = 256
_LOOKUP_THREADS = 2
# After the store failed to answer it is left alone this long; known keys go on working.
_AWAY_S = 2.0


class StoredKey(Protocol):
    """What the key store gives; `key_hash` is the SHA-256 of the whole key."""

    @property
    def key_id(self) -> str: ...
    @property
    def key_hash(self) -> bytes: ...
    @property
    def client_id(self) -> str: ...
    @property
    def scopes(self) -> frozenset[str]: ...
    @property
    def revoked(self) -> bool: ...


# Blocking: key id → the key, or None when there is no such key.
FindKey = Callable[[str], StoredKey | None]


class _Entry(NamedTuple):
    principal: Principal | None
    read_at_s: float


class KeyCache:
    """An Authenticator over a blocking `find(key_id)`, which runs on its own threads.

    A key read less than `refresh_ms` ago is used as it is; up to twice that, it is used while it
    is read again; beyond, the answer waits for the store. So a revoked key works for at most
    2 x `refresh_ms`, unless the store is away. Keys are held by their hash only.
    """

    def __init__(self, find: FindKey, *, clock: Clock, refresh_ms: int) -> None:
        self._find = find
        self._clock = clock
        self._refresh_s = refresh_ms / 1000
        self._known: dict[bytes, _Entry] = {}
        self._refused: dict[bytes, _Entry] = {}
        self._lookups: dict[bytes, asyncio.Task[Principal | None]] = {}
        self._threads = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="key-lookup")
        self._away_until_s = 0.0
        self._away = ""
        self._log = log.get("keys")

    async def authenticate(self, secret: str) -> Principal | None:
        """See `Authenticator`."""
        digest = hashlib.sha256(secret.encode(errors="replace")).digest()
        entry = self._known.get(digest) or self._refused.get(digest)
        if entry is not None:
            age_s = self._clock.monotonic() - entry.read_at_s
            if age_s < self._refresh_s:
                return entry.principal
            if age_s < 2 * self._refresh_s:
                self._look_up(secret, digest)
                return entry.principal
        match = _KEY.fullmatch(secret)
        if match is None:
            return None
        try:
            return await asyncio.shield(self._look_up(secret, digest))
        except RetryLater:
            if entry is not None and entry.principal is not None:
                return entry.principal
            raise

    @property
    def trouble(self) -> str | None:
        """Why keys cannot be read at the moment, for readiness."""
        return self._away or None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _look_up(self, secret: str, digest: bytes) -> asyncio.Task[Principal | None]:
        """One lookup per key at a time, shared by all who wait for it."""
        task = self._lookups.get(digest)
        if task is None:
            task = asyncio.create_task(self._read(secret[4:12], digest))
            self._lookups[digest] = task
            task.add_done_callback(lambda done: self._finished(digest, done))
        return task

    def _finished(self, digest: bytes, done: asyncio.Task[Principal | None]) -> None:
        self._lookups.pop(digest, None)
        if not done.cancelled():
            # Marks a failure as seen; whoever waits gets it too.
            done.exception()

    async def _read(self, key_id: str, digest: bytes) -> Principal | None:
        now = self._clock.monotonic()
        if now < self._away_until_s or len(self._lookups) > _LOOKUPS_MAX:
            raise _unknown_for_now()
        loop = asyncio.get_running_loop()
        try:
            stored = await loop.run_in_executor(self._threads, self._find, key_id)
        except Exception as error:
            self._away_until_s = self._clock.monotonic() + _AWAY_S
            if not self._away:
                self._log.warning("keys cannot be read", cause=str(error))
            self._away = "API keys cannot be read; known keys go on working."
            raise _unknown_for_now() from error
        if self._away:
            self._log.info("keys can be read again")
            self._away = ""
        principal = _principal(stored, digest)
        self._keep(digest, _Entry(principal, self._clock.monotonic()))
        return principal

    def _keep(self, digest: bytes, entry: _Entry) -> None:
        self._known.pop(digest, None)
        self._refused.pop(digest, None)
        kept, kept_max = (
            (self._known, _KNOWN_MAX) if entry.principal else (self._refused, _REFUSED_MAX)
        )
        if len(kept) >= kept_max:
            del kept[next(iter(kept))]
        kept[digest] = entry


def _principal(stored: StoredKey | None, digest: bytes) -> Principal | None:
    if stored is None or stored.revoked or stored.key_hash != digest:
        return None
    return Principal(stored.client_id, stored.key_id, stored.scopes)


def _unknown_for_now() -> RetryLater:
    return RetryLater(
        "This API key cannot be checked at the moment.",
        remedy="Send the same request again in a few seconds.",
    )
