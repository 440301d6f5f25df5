"""`sagestream run event-writer`."""

from __future__ import annotations

from infra.clock import SystemClock
from infra.settings import Settings
from storage.writers.event_writer import EventWriter
from storage.writers.process import run_writer


def main(settings: Settings) -> int:
    """Store learning-events in Postgres until told to stop."""
    clock = SystemClock()
    core = EventWriter(clock)
    return run_writer(
        settings,
        core,
        topic=core.topic,
        health_port=settings.event_writer_health_port,
        clock=clock,
    )
