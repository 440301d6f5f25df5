"""`sagestream run pattern-writer`."""

from __future__ import annotations

from infra.clock import SystemClock
from infra.settings import Settings
from storage.writers.pattern_writer import PatternWriter, limits_of
from storage.writers.process import run_writer


def main(settings: Settings) -> int:
    """Add window results to the pattern store until told to stop."""
    clock = SystemClock()
    core = PatternWriter(clock, limits_of(settings))
    return run_writer(
        settings,
        core,
        topic=core.topic,
        health_port=settings.pattern_writer_health_port,
        clock=clock,
    )
