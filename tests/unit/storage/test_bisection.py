"""Finding the rows that a database refuses."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from storage.writers.bisection import refused_rows


@given(st.integers(0, 200), st.sets(st.integers(0, 199), max_size=5))
def test_exactly_the_bad_rows_are_found(count: int, bad: set[int]) -> None:
    def probe(rows: Sequence[int]) -> str | None:
        return "bad" if bad.intersection(rows) else None

    found = refused_rows(range(count), probe)
    assert [row for row, _said in found] == sorted(bad & set(range(count)))


def test_one_bad_row_of_many_costs_few_probes() -> None:
    probes = 0

    def probe(rows: Sequence[int]) -> str | None:
        nonlocal probes
        probes += 1
        return "bad" if 777 in rows else None

    assert refused_rows(range(4096), probe) == [(777, "bad")]
    assert probes <= 2 * 12 + 1


def test_rows_that_only_clash_with_each_other_are_not_blamed() -> None:
    def probe(rows: Sequence[int]) -> str | None:
        return "clash" if len(rows) > 1 else None

    assert refused_rows([1, 2], probe) == []
