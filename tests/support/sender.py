"""Sends events to a gateway without pause, and remembers what was confirmed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import httpx

_PAUSE_AFTER_REFUSAL_S = 0.1


def events(prefix: str, count: int) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"{prefix}-{n}",
            "session_id": f"{prefix}-session-{n % 50}",
            "event_type": "page.viewed",
            "event_data": {"industry": "retail", "note": 'a "quoted" 日本 text', "n": n},
        }
        for n in range(count)
    ]


class Sender:
    """Sends batch after batch as fast as the answers come, and remembers what was confirmed."""

    def __init__(self, url: str, key: str, prefix: str) -> None:
        self.acknowledged: list[str] = []
        self.statuses: list[int] = []
        self.slowest_s = 0.0
        self.stop = asyncio.Event()
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._prefix = prefix

    async def run(self, senders: int = 8) -> None:
        async with httpx.AsyncClient(headers=self._headers, timeout=30) as client:
            await asyncio.gather(*(self._send(client, n) for n in range(senders)))

    async def _send(self, client: httpx.AsyncClient, number: int) -> None:
        turn = 0
        while not self.stop.is_set():
            batch = events(f"{self._prefix}-{number}-{turn}", 100)
            started = time.monotonic()
            with contextlib.suppress(httpx.TransportError):
                answer = await client.post(f"{self._url}/v1/events", json=batch)
                self.statuses.append(answer.status_code)
                self.slowest_s = max(self.slowest_s, time.monotonic() - started)
                if answer.status_code == 200:
                    self.acknowledged += answer.json()["event_ids"]
                else:
                    # As a client should, only sooner; eight that never pause would starve the
                    # broker of the processor it needs to come back.
                    await asyncio.sleep(_PAUSE_AFTER_REFUSAL_S)
            turn += 1

    async def until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within 60 s"
            await asyncio.sleep(0.02)
