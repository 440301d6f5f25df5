"""Patterns in a database, put there by the pattern writer itself."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from infra.clock import SystemClock
from infra.kafka.consumer import ConsumedRecord
from infra.topics import SESSION_WINDOWS
from storage.postgres.pool import connect
from storage.writers.pattern_refresh import Limits, refresh
from storage.writers.pattern_writer import GROUP, PatternWriter
from stream_jobs.patterns.accumulator import WindowAccumulator
from stream_jobs.patterns.window import WINDOW_SIZE_MS, window_start
from stream_jobs.patterns.window_result import WindowResult, result_of
from tests.support.builders import window_event

LIMITS = Limits(confidence_min=0.7, sample_size_min=20, patterns_max=500)
CONTRIBUTORS = ("acme", "globex", "initech")
PRIVATE_STEP = "secret.move"
CONTEXTS: tuple[tuple[str | None, str | None], ...] = (
    ("retail", "email"),
    ("media", None),
    (None, None),
)
_ORDINARY = ("view", "search", "scroll")
_PROMISING = ("bookmark", "share", "comment", "like")


def windows(newest_ms: int, *, per_context: int = 1_000, seed: int = 7) -> Iterator[WindowResult]:
    """Closed windows whose last one began at `newest_ms`: promising steps tend to succeed.

    All clients contribute alike, but only acme ever makes the private step.
    """
    rng = random.Random(seed)
    for industry, campaign_type in CONTEXTS:
        for number in range(per_context):
            client_id = CONTRIBUTORS[number % len(CONTRIBUTORS)]
            steps = [rng.choice(_ORDINARY + _PROMISING) for _ in range(rng.randint(2, 5))]
            if client_id == "acme" and rng.random() < 0.3:
                steps.append(PRIVATE_STEP)
            good = sum(step in (*_PROMISING, PRIVATE_STEP) for step in steps)
            start = newest_ms - (number % 50) * WINDOW_SIZE_MS
            yield _window(
                (client_id, f"s-{industry}-{number}", start),
                steps,
                {"industry": industry, "campaign_type": campaign_type},
                succeeds=rng.random() < 0.05 + 0.2 * good,
            )


def store(dsn: str, results: Sequence[WindowResult]) -> None:
    """One batch and one refresh, as the pattern writer does them."""
    records = [
        ConsumedRecord(SESSION_WINDOWS.name, 0, offset, result.key(), result.encode(), 0)
        for offset, result in enumerate(results)
    ]
    with connect(dsn, name="seed", vectors=True) as connection:
        writer = PatternWriter(SystemClock(), LIMITS)
        writer.open(connection)
        writer.store_batch(connection, records, {})
        refresh(connection, LIMITS, writer=GROUP)


def newest_window(now_ms: int) -> int:
    """Start (ms) of the newest window that is closed by now."""
    return window_start(now_ms) - WINDOW_SIZE_MS


def _window(
    key: tuple[str, str, int],
    steps: Sequence[str],
    context: dict[str, str | None],
    *,
    succeeds: bool,
) -> WindowResult:
    client_id, session_id, start = key
    accumulator = WindowAccumulator()
    facts = {name: value for name, value in context.items() if value is not None}
    types = [*steps, "goal.achieved"] if succeeds else list(steps)
    for position, event_type in enumerate(types):
        accumulator.add(
            window_event(
                f"{session_id}-{position}",
                client_id=client_id,
                session_id=session_id,
                event_type=event_type,
                at_ms=start + position * 1_000,
                data=facts,
            )
        )
    return result_of(key, accumulator, engine="test")
