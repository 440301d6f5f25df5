"""Which copy of an event is the stored one, and what that does to its windows. Pure.

The smallest (body hash, event time) wins, in whatever order copies arrive. An engine may have
counted a copy that is not the stored one; the window it counted it in is then raised to a new
generation, which sends it to the late repair and makes the repair's result outrank the engine's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from storage.postgres.event_store import StoredCopy
from storage.postgres.window_events import Window
from storage.writers.log_record import LogRecord
from stream_jobs.patterns.window import window_start

Fate = Literal["inserted", "duplicates", "conflicts"]


class Copy(NamedTuple):
    """One event record: what it says, where it lies, and whether its window had fired."""

    record: LogRecord
    partition: int
    offset: int
    late: bool

    @property
    def identity(self) -> tuple[str, str]:
        return (self.record.client_id, self.record.event_id)

    @property
    def precedence(self) -> tuple[str, int]:
        return (self.record.body_hash, self.record.event_time)

    @property
    def window(self) -> Window:
        record = self.record
        return (record.client_id, record.session_id, window_start(record.event_time))


class Resolution(NamedTuple):
    """What became of the copies of one identity.

    `fates` has one entry per copy, in order. `losers` are the bodies that lost to a different one:
    a copy of this batch, or the one that was stored (as StoredCopy). `raised` are the windows that
    may have counted a copy which is not the stored one, each with the copy that told us.
    """

    fates: tuple[Fate, ...]
    losers: tuple[Copy | StoredCopy, ...]
    raised: tuple[tuple[Window, Copy], ...]


def best_of(copies: Iterable[Copy]) -> Copy:
    """The copy that takes precedence; the first of equal ones."""
    return min(copies, key=lambda copy: copy.precedence)


def resolve(stored: StoredCopy | None, copies: Iterable[Copy]) -> Resolution:
    """Take the copies of one identity in the order of the log, after the stored one if any."""
    fates: list[Fate] = []
    losers: list[Copy | StoredCopy] = []
    raised: dict[Window, Copy] = {}
    winner: Copy | StoredCopy | None = stored
    for copy in copies:
        if winner is None:
            winner = copy
            fates.append("inserted")
            continue
        same_body = copy.record.body_hash == _body_hash(winner)
        fates.append("duplicates" if same_body else "conflicts")
        windows = (copy.window, _window(winner, copy.record.client_id))
        if copy.precedence < _precedence(winner):
            loser, winner = winner, copy
            raised.update(dict.fromkeys(windows, copy))
        else:
            loser = copy
            if windows[0] != windows[1]:
                raised[copy.window] = copy
        if not same_body:
            losers.append(loser)
    return Resolution(tuple(fates), tuple(losers), tuple(raised.items()))


def _body_hash(copy: Copy | StoredCopy) -> str:
    return copy.record.body_hash if isinstance(copy, Copy) else copy.body_hash


def _precedence(copy: Copy | StoredCopy) -> tuple[str, int]:
    return copy.precedence if isinstance(copy, Copy) else (copy.body_hash, copy.event_time)


def _window(copy: Copy | StoredCopy, client_id: str) -> Window:
    if isinstance(copy, Copy):
        return copy.window
    return (client_id, copy.session_id, window_start(copy.event_time))
