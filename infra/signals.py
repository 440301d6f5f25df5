"""Turn SIGTERM and SIGINT into a flag that main loops look at."""

from __future__ import annotations

import signal
import threading
from types import FrameType


def stop_on_signals() -> threading.Event:
    """An event that is set at the first SIGTERM or SIGINT."""
    stopping = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stopping
