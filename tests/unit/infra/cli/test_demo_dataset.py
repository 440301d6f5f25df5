"""The demonstration's data is the real log, moved in time and nothing else."""

from __future__ import annotations

from collections import defaultdict

import pytest

from infra.cli.demo.dataset import Interaction, expected_windows, load
from infra.cli.demo.settling import Ledger
from stream_jobs.patterns.accumulator import WindowAccumulator, WindowEvent
from stream_jobs.patterns.detect import detect
from stream_jobs.patterns.window import WINDOW_SIZE_MS, window_end, window_start

NOW = 1_795_400_123_456


@pytest.fixture(scope="module")
def interactions() -> list[Interaction]:
    return load(NOW)


def test_every_row_is_sent_and_exact_copies_share_an_id(interactions: list[Interaction]) -> None:
    assert len(interactions) == 72_312
    assert len({i.event_id for i in interactions}) == 72_301


def test_the_last_window_has_just_ended_and_gaps_are_kept(interactions: list[Interaction]) -> None:
    assert NOW - WINDOW_SIZE_MS < window_end(window_start(interactions[-1].event_time_ms)) <= NOW
    first, last = interactions[0].event_time_ms, interactions[-1].event_time_ms
    assert last - first == (1_488_309_711 - 1_457_963_676) * 1000


def test_a_session_never_changes_tenant(interactions: list[Interaction]) -> None:
    tenants: defaultdict[str, set[str]] = defaultdict(set)
    for interaction in interactions:
        tenants[interaction.session_id].add(interaction.tenant)
    assert all(len(found) == 1 for found in tenants.values())


def test_the_known_figures_of_the_log_are_found_again(interactions: list[Interaction]) -> None:
    windows: defaultdict[tuple[str, str, int], WindowAccumulator] = defaultdict(WindowAccumulator)
    for i in interactions:
        windows[i.tenant, i.session_id, window_start(i.event_time_ms)].add(
            WindowEvent(i.event_id, "0", i.event_time_ms, i.event_type, None, None, i.success, None)
        )
    assert len(windows) == expected_windows(interactions) == 48_871
    totals: defaultdict[tuple[str, ...] | None, list[int]] = defaultdict(lambda: [0, 0])
    for accumulator in windows.values():
        for seen in detect(accumulator):
            totals[seen.path][0] += 1
            totals[seen.path][1] += seen.success_ppm
    rates = {path: success / trials / 1e6 for path, (trials, success) in totals.items()}
    assert rates[None] == pytest.approx(0.168, abs=5e-4)
    assert rates["view",] == pytest.approx(0.095, abs=5e-4)
    assert rates["view", "bookmark"] == pytest.approx(0.293, abs=5e-4)
    assert rates["comment",] == pytest.approx(0.666, abs=5e-4)


def test_the_ledger_counts_every_kind_of_loss() -> None:
    whole = {
        "events_sent": 10,
        "distinct": 9,
        "acked": 10,
        "kafka": 10,
        "postgres": 9,
        "clickhouse": 9,
        "duplicates": 1,
        "conflicts": 0,
        "dead_letters": 0,
        "late": 3,
        "windows_expected": 5,
        "windows": 5,
    }
    assert Ledger(**whole).residue == 0
    for field in ("acked", "kafka", "postgres", "clickhouse", "duplicates", "windows"):
        assert Ledger(**{**whole, field: whole[field] - 1}).residue > 0
