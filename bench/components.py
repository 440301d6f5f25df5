"""The components a workload needs, in a data folder of the benchmark's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra import settings as settings_module
from infra.cli.progress import Screen
from infra.clock import SystemClock
from infra.local.supervisor import Supervisor
from infra.settings import Settings

HOME = Path(".sagestream") / "bench"
PORT_BASE = 22_500


@contextmanager
def running(parts: Sequence[str]) -> Iterator[Settings]:
    """Start the parts on empty data, and stop them at the end."""
    settings = settings_module.load(home=HOME, port_base=PORT_BASE)
    with Screen(quiet=True) as screen:
        Supervisor(settings, SystemClock(), screen).down()
        shutil.rmtree(settings.home, ignore_errors=True)
        supervisor = Supervisor(settings, SystemClock(), screen)
        try:
            supervisor.up(parts)
            yield supervisor.settings
        finally:
            supervisor.down()
