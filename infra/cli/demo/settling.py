"""Wait until every record of the demonstration has reached every store, and account for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from infra.clock import Clock
from infra.errors import RetryLater

_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Ledger:
    """What each place holds. All counts are events, except the last two lines."""

    events_sent: int
    distinct: int
    acked: int
    kafka: int
    postgres: int
    clickhouse: int
    duplicates: int
    conflicts: int
    dead_letters: int
    late: int
    windows_expected: int
    windows: int

    @property
    def residue(self) -> int:
        """Events or windows that are unaccounted for; 0 when nothing was lost or invented."""
        return (
            abs(self.events_sent - self.acked)
            + abs(self.acked - self.kafka)
            + abs(self.kafka - self.postgres - self.duplicates - self.conflicts - self.dead_letters)
            + abs(self.distinct - self.postgres)
            + abs(self.distinct - self.clickhouse)
            + abs(self.windows_expected - self.windows)
        )


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing to wait for: how far it is, and how far it must get."""

    name: str
    target: int
    reached: Callable[[], int]


def wait_for_goals(
    goals: list[Goal],
    clock: Clock,
    *,
    timeout_s: float,
    advanced: Callable[[Goal, int], None],
) -> None:
    """Poll until every goal is reached; `advanced` is told each new figure.

    Raises:
        RetryLater: the timeout passed; names the goals that are short.
    """
    deadline = clock.monotonic() + timeout_s
    open_goals = list(goals)
    while open_goals:
        still_open = []
        for goal in open_goals:
            reached = goal.reached()
            advanced(goal, reached)
            if reached < goal.target:
                still_open.append(goal)
        open_goals = still_open
        if open_goals and clock.monotonic() > deadline:
            short = ", ".join(f"{g.name} {g.reached():,} of {g.target:,}" for g in open_goals)
            raise RetryLater(
                f"Not everything arrived within {timeout_s:.0f} s: {short}.",
                remedy="Look at `sagestream status` and the logs of the parts named.",
            )
        if open_goals:
            clock.sleep(_POLL_S)
