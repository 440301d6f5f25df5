"""Stopping on signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from infra.signals import stop_on_signals


@pytest.fixture
def handlers_kept() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_sets_the_event(handlers_kept: None, number: signal.Signals) -> None:
    stopping = stop_on_signals()
    os.kill(os.getpid(), number)
    assert stopping.wait(10)


def test_a_signal_that_another_thread_gets_wakes_a_waiting_main_thread(
    handlers_kept: None,
) -> None:
    """The main thread sits in a wait without an end; the signal never reaches it."""
    program = (
        "import signal, threading\n"
        "from infra.signals import stop_on_signals\n"
        "stopping = stop_on_signals()\n"
        "def other():\n"
        "    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})\n"
        "    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n"
        "    threading.Event().wait()\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "threading.Thread(target=other, daemon=True).start()\n"
        "stopping.wait()\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0


def test_many_signals_at_once_do_no_harm(handlers_kept: None) -> None:
    stopping = stop_on_signals()
    for _ in range(200):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert stopping.wait(10)
    assert threading.main_thread().is_alive()
