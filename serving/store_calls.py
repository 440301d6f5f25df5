"""Blocking store calls from the event loop: bounded, and quick to give up while the store is away.

Each call runs on a thread with a pooled connection. After a failure callers are refused at once,
except one at a time that tries whether the store is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from infra import log
from infra.errors import SagestreamError
from infra.http.errors import HttpError
from serving import errors
from storage.postgres.errors import PostgresAway
from storage.postgres.pool import Connection, Pool

T = TypeVar("T")


class StoreCalls:
    """Runs functions of a connection. Use from one event loop; `close` at the end.

    At most `threads` run at once and `waiting_max` wait; more are refused with 503.
    """

    def __init__(self, pool: Pool, *, threads: int, waiting_max: int = 512) -> None:
        self._pool = pool
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self._inflight = 0
        self._inflight_max = threads + waiting_max
        self._away = False
        self._trying = False
        self._log = log.get("store")

    async def run(self, call: Callable[[Connection], T]) -> T:
        """What `call` returns, from a transaction of its own.

        Raises:
            HttpError: 503 while the store is away, or when too many calls wait already.
        """
        if self._away:
            if self._trying:
                raise errors.store_away()
            self._trying = True
            try:
                return await self._attempt(call)
            finally:
                self._trying = False
        return await self._attempt(call)

    async def trouble(self, call: Callable[[Connection], object]) -> str | None:
        """None when `call` succeeds, else one sentence fit for strangers."""
        try:
            await self.run(call)
        except HttpError as problem:
            return problem.message
        except SagestreamError as unusable:
            self._log.error("the store cannot be used", trouble=str(unusable))
            return "The pattern store cannot be used; the log says why."
        return None

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _attempt(self, call: Callable[[Connection], T]) -> T:
        if self._inflight >= self._inflight_max:
            raise errors.overloaded()
        self._inflight += 1
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._connected, call
            )
        except PostgresAway as away:
            self._now_away(away)
            raise errors.store_away() from None
        finally:
            self._inflight -= 1
        if self._away:
            self._away = False
            self._log.info("the store is back")
        return outcome

    def _connected(self, call: Callable[[Connection], T]) -> T:
        with self._pool.connection() as connection:
            return call(connection)

    def _now_away(self, away: PostgresAway) -> None:
        if not self._away:
            self._away = True
            self._log.warning("the store is away", trouble=away.message)
