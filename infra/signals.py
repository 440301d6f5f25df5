"""Turn SIGTERM and SIGINT into a flag that main loops look at."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

_STOPPING = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals() -> threading.Event:
    """An event that is set at the first SIGTERM or SIGINT; call it on the main thread.

    The event is set by a thread that is told through a pipe, not by a signal handler: a handler
    runs within whatever the main thread does, perhaps within this event's own lock (a deadlock),
    and not at all while the main thread waits and the signal came to another thread.
    """
    stopping = threading.Event()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def relay() -> None:
        while os.read(reading, 1)[0] not in _STOPPING:
            continue
        stopping.set()

    threading.Thread(target=relay, name="signals", daemon=True).start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in _STOPPING:
        signal.signal(number, _noticed)
    return stopping


def _noticed(_number: int, _frame: FrameType | None) -> None:
    """The pipe has told already; being installed, this keeps the default from ending us."""
