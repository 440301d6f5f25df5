"""Events for tests: everything has a default, nothing is random unless a seed says so."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from ingestion.events.admission import admit
from ingestion.events.event import Event
from stream_jobs.patterns.accumulator import WindowEvent

# 2026-01-05 00:00:00 UTC, the start of a window.
DAY_MS = 1_767_571_200_000


def event(
    event_id: str = "e-1",
    *,
    client_id: str = "acme",
    session_id: str = "s-1",
    event_type: str = "view",
    at_ms: int | None = DAY_MS,
    received_at: int | None = None,
    data: Mapping[str, Any] | None = None,
    user_id: str | None = None,
) -> Event:
    """An accepted event; `at_ms` None means that the sender gave no time."""
    raw: dict[str, Any] = {
        "event_id": event_id,
        "session_id": session_id,
        "event_type": event_type,
        "event_data": dict(data or {}),
    }
    if at_ms is not None:
        raw["event_time"] = at_ms
    if user_id is not None:
        raw["user_id"] = user_id
    receipt = received_at if received_at is not None else (DAY_MS if at_ms is None else at_ms + 50)
    return admit(raw, client_id=client_id, received_at=receipt, new_id=lambda: "made").event


def window_event(event_id: str = "e-1", **changes: Any) -> WindowEvent:
    """The same, as a window sees it."""
    return WindowEvent.of(event(event_id, **changes))


_TYPES = (
    "view",
    "like",
    "bookmark",
    "share",
    "lesson.completed",
    "offer.dismissed",
    "goal.achieved",
)


def random_log(
    seed: int,
    *,
    events: int,
    sessions: int = 50,
    clients: tuple[str, ...] = ("acme", "globex", "initech"),
    span_ms: int = 3_600_000,
    start_ms: int = DAY_MS,
    copies: float = 0.05,
    conflicts: float = 0.0,
) -> list[Event]:
    """A log about in order of arrival: few busy sessions, many quiet ones, ties in time, facts and
    signals of every kind, scores outside their range, exact copies, and conflicts (a second body
    under one identity, some of them in another window).
    """
    rng = random.Random(seed)
    log: list[Event] = []
    for number in range(events):
        rank = min(int(rng.paretovariate(0.8)), sessions)
        at_ms = start_ms + number * span_ms // events
        if rng.random() < 0.5:
            at_ms -= at_ms % 1_000
        data: dict[str, Any] = {"industry": rng.choice(("retail", "media"))}
        if rng.random() < 0.5:
            data["campaign_type"] = rng.choice(("email", "social"))
        kind = rng.random()
        if kind < 0.2:
            data["success"] = rng.random() < 0.4
        elif kind < 0.4:
            data["success_score"] = round(rng.uniform(-1, 11), 2)
        made = event(
            f"e-{seed}-{number}",
            client_id=clients[rank % len(clients)],
            session_id=f"s-{rank}",
            event_type=rng.choice(_TYPES),
            at_ms=at_ms,
            data=data,
        )
        log.append(made)
        if rng.random() < copies:
            log.append(made)
        if rng.random() < conflicts:
            log.append(
                event(
                    made.event_id,
                    client_id=made.client_id,
                    session_id=made.session_id,
                    event_type=rng.choice(_TYPES),
                    at_ms=at_ms + rng.choice((0, 400_000)),
                    data={**data, "changed": True},
                )
            )
    return log
