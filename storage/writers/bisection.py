"""Find the rows that a database refuses, when it only says that some row of many is bad. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Row = TypeVar("Row")
# None when the rows are acceptable together, else what the database said. Leaves no trace.
Probe = Callable[[Sequence[Row]], str | None]


def refused_rows(rows: Sequence[Row], probe: Probe[Row]) -> list[tuple[Row, str]]:
    """Every row that is refused on its own, with the reason; about 2·log2(n) probes for each.

    Empty when no row is refused alone: then the rows only clash with each other.
    """
    trouble = probe(rows)
    if trouble is None or not rows:
        return []
    if len(rows) == 1:
        return [(rows[0], trouble)]
    middle = len(rows) // 2
    return refused_rows(rows[:middle], probe) + refused_rows(rows[middle:], probe)
