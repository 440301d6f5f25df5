"""The newest result of every window on `session-windows`, for tests without a pattern store."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from infra.kafka.consumer import BatchConsumer
from infra.topics import SESSION_WINDOWS
from ingestion.events.event import Event
from stream_jobs.patterns.window_result import WindowResult
from tests.support.naive_patterns import naive_results

Window = tuple[str, str, int]
# Window → (number of events, observations), as the oracle tells it.
Found = dict[Window, tuple[int, tuple[Any, ...]]]


class WindowTopic:
    """Reads the topic from its beginning; `found` goes on from where it was."""

    def __init__(
        self, bootstrap: str, topic: str = SESSION_WINDOWS.name, *, keyed: bool = True
    ) -> None:
        self._keyed = keyed
        name = f"test-{uuid.uuid4()}"
        self._consumer = BatchConsumer(bootstrap, group=name, topics=[topic], client_id=name)
        self._newest: dict[Window, WindowResult] = {}

    def found(self, client_id: str | None = None) -> Found:
        """What the newest results of one client's windows (or of all) say."""
        while records := self._consumer.read(5_000, 0.3):
            for record in records:
                result = WindowResult.decode(record.value)
                assert not self._keyed or record.key == result.key()
                known = self._newest.get(result.window)
                if known is None or result.version > known.version:
                    self._newest[result.window] = result
        return {
            window: (result.revision, tuple(tuple(o) for o in result.observations))
            for window, result in self._newest.items()
            if client_id is None or result.client_id == client_id
        }

    def close(self) -> None:
        self._consumer.close()


def differences(expected: Iterable[Event], found: Found) -> list[str]:
    """Up to five windows in which the topic and the oracle disagree; empty when they agree."""
    oracle = naive_results(expected)
    wrong = sorted(w for w in oracle.keys() | found.keys() if oracle.get(w) != found.get(w))
    return [f"{w}: {oracle.get(w)} expected, {found.get(w)} found" for w in wrong[:5]]
