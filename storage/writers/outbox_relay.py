"""Publish what a writer queued in its outbox, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from infra import log, metrics
from infra.clock import Clock
from infra.errors import RetryLater
from infra.kafka.producer import Record
from storage.postgres import outbox
from storage.postgres.pool import Connection

Connect = Callable[[], Connection]
Publish = Callable[[Sequence[Record]], None]

_EVERY_S = 1.0
_BACKOFF_MAX_S = 5.0
_COUNT_EVERY_S = 5.0


class OutboxRelay:
    """Start and stop around the writer's loop; `wake` after a commit, to be quick.

    Leftovers of an earlier process go out first; a row is deleted only when Kafka has confirmed it.
    """

    def __init__(self, writer: str, connect: Connect, publish: Publish, clock: Clock) -> None:
        self._writer = writer
        self._connect = connect
        self._publish = publish
        self._clock = clock
        self._connection: Connection | None = None
        self._counted_s = -_COUNT_EVERY_S
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"{writer}-outbox", daemon=True)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be published at the moment; None when all is well."""
        return self._trouble

    def wake(self) -> None:
        """There may be something to publish."""
        self._wake.set()

    def __enter__(self) -> OutboxRelay:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """One last attempt, then the thread ends; what is left waits for the next process."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(30)

    def _run(self) -> None:
        delay_s = _EVERY_S
        while True:
            last = self._stopping.is_set()
            try:
                self._drain()
            except RetryLater as away:
                if self._trouble is None:
                    log.get("outbox").warning("publishing waits", reason=str(away))
                self._trouble = str(away)
                self._disconnect()
                delay_s = min(delay_s * 2, _BACKOFF_MAX_S)
            else:
                self._trouble = None
                delay_s = _EVERY_S
            if last:
                self._disconnect()
                return
            self._wake.wait(delay_s)
            if self._trouble is not None:
                self._stopping.wait(delay_s)
            self._wake.clear()

    def _drain(self) -> None:
        if self._connection is None:
            self._connection = self._connect()
        while outbox.relay(self._connection, self._writer, self._publish):
            pass
        if self._clock.monotonic() - self._counted_s >= _COUNT_EVERY_S:
            waiting = outbox.waiting(self._connection, self._writer)
            metrics.OUTBOX_ROWS.labels(self._writer).set(waiting)
            self._counted_s = self._clock.monotonic()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
