"""The demonstration: start, send, learn, ask, account for every event."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from infra.cli.demo import dataset, home, showing
from infra.cli.demo.asking import Serving
from infra.cli.demo.books import Books
from infra.cli.demo.dataset import Interaction
from infra.cli.demo.sending import SegmentSender
from infra.cli.demo.settling import Goal, Ledger, wait_for_goals
from infra.cli.output import console
from infra.cli.progress import Screen
from infra.clock import Clock, SystemClock
from infra.local.supervisor import Supervisor
from infra.settings import Settings
from storage.clickhouse.client import ClickHouse
from storage.postgres import overview
from storage.postgres.keys import KeyStore
from storage.postgres.pool import Pool

_SETTLE_TIMEOUT_S = 300.0
_PATTERNS_SHOWN = 12
_QUESTION = ({"industry": "media", "campaign_type": "desktop"}, ("view", "bookmark"))


@dataclass(slots=True)
class Timing:
    """Seconds from the start to a ready platform, and from there to the last answer."""

    setup_s: float = 0.0
    run_s: float = 0.0


def main(base: Settings, *, keep: bool = False) -> int:
    """Run the whole main job on real events; 0 when every event is accounted for."""
    clock = SystemClock()
    screen = console()
    began = clock.monotonic()
    showing.heading(screen, 1, "Start the platform: the real components, on this machine")
    with Screen() as parts:
        settings = home.fresh_settings(base, clock, parts)
        supervisor = Supervisor(settings, clock, parts)
    try:
        with Screen() as parts:
            supervisor = Supervisor(settings, clock, parts)
            # The gateway comes last: from its start on, quiet partitions are told the time, and
            # events of the past year would be late before Flink has seen the first one.
            supervisor.up(only=[name for name in supervisor.names if name != "gateway"])
        with Screen(news_only=True) as parts:
            supervisor = Supervisor(supervisor.settings, clock, parts)
            supervisor.up(only=["gateway"])
        settings = supervisor.settings
        setup_s = clock.monotonic() - began
        summary, read_key = _play(settings, clock, screen)
        summary |= {
            "setup_s": round(setup_s, 1),
            "run_s": round(clock.monotonic() - began - setup_s, 1),
        }
        if keep:
            showing.addresses(screen, settings, read_key)
    finally:
        if not keep:
            with Screen(quiet=True) as parts:
                Supervisor(settings, clock, parts).down()
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0 if summary["residue"] == 0 and summary["patterns"] > 0 else 1


def _play(settings: Settings, clock: Clock, screen: Console) -> tuple[dict[str, Any], str]:
    """Everything between a ready platform and the last line: (summary, a key for reading)."""
    interactions = dataset.load(clock.now_ms())
    pool = Pool(settings.postgres_dsn, name="demo")
    clickhouse = ClickHouse(settings)
    try:
        keys = _keys(KeyStore(pool), {interaction.tenant for interaction in interactions})
        read_key = next(iter(keys.values()))
        books = Books(settings, pool, clickhouse)
        acked = _send(settings, interactions, keys, screen)
        _settle(books, interactions, clock, screen)
        _show_patterns(settings, pool, books, screen)
        p95_ms = _ask(settings, read_key, clock, screen)
        _query(settings, screen)
        showing.heading(screen, 7, "Account for every event")
        ledger = books.close_ledger(interactions, acked)
        showing.ledger(screen, ledger)
        return _summary(ledger, books.counts(), p95_ms), read_key
    finally:
        clickhouse.close()
        pool.close()


def _keys(store: KeyStore, tenants: set[str]) -> dict[str, str]:
    """Tenant → API key, the largest tenants' names in order."""
    return {
        tenant: store.create(tenant, ["ingest", "read"], "demonstration")[1]
        for tenant in sorted(tenants)
    }


def _send(
    settings: Settings,
    interactions: Sequence[Interaction],
    keys: Mapping[str, str],
    screen: Console,
) -> int:
    showing.heading(
        screen,
        2,
        f"Send {len(interactions):,} real events of {len(keys)} tenants through the Segment SDK",
    )
    sender = SegmentSender(settings.gateway_url, keys)
    try:
        with _bar(screen) as bar:
            task = bar.add_task("acknowledged", total=len(interactions))
            return sender.send(interactions, lambda count: bar.advance(task, count))
    finally:
        sender.close()


def _settle(
    books: Books, interactions: Sequence[Interaction], clock: Clock, screen: Console
) -> None:
    showing.heading(screen, 3, "Let windows close and every store catch up")
    with _bar(screen) as bar:
        goals = books.goals(interactions)
        tasks = {goal.name: bar.add_task(goal.name, total=goal.target) for goal in goals}

        def advanced(goal: Goal, reached: int) -> None:
            bar.update(tasks[goal.name], completed=min(reached, goal.target))

        wait_for_goals(goals, clock, timeout_s=_SETTLE_TIMEOUT_S, advanced=advanced)
    counts = books.counts()
    screen.print(
        f"{counts.windows:,} windows: {counts.windows - counts.repaired_windows:,} as Flink closed"
        f" them, {counts.repaired_windows:,} counted again after late events"
    )


def _show_patterns(settings: Settings, pool: Pool, books: Books, screen: Console) -> None:
    showing.heading(screen, 4, "What leads to success? The strongest patterns")
    with pool.connection() as connection:
        found = overview.strongest(
            connection,
            confidence_min=settings.detected_confidence_min,
            sample_size_min=settings.detected_sample_size_min,
            limit=_PATTERNS_SHOWN,
        )
    showing.patterns(screen, found, books.counts().detected)


def _ask(settings: Settings, key: str, clock: Clock, screen: Console) -> float:
    showing.heading(screen, 5, "Ask: a reader viewed an article and bookmarked it. What now?")
    context, path = _QUESTION
    serving = Serving(settings, key)
    try:
        answer = serving.match(context, path, 5)
        showing.match(screen, f"{' > '.join(path)}, on {context['campaign_type']}", answer)
        others = [(context, ("view", step)) for step in ("like", "bookmark", "comment", "follow")]
        p95_ms = serving.match_p95_ms(others, clock)
    finally:
        serving.close()
    screen.print(f"[dim]95 % of matches answered within {p95_ms} ms[/]")
    return p95_ms


def _query(settings: Settings, screen: Console) -> None:
    showing.heading(screen, 6, "Ask in SQL, as an analyst with read-only access to ClickHouse")
    analyst = ClickHouse(
        settings,
        user=settings.clickhouse_analyst_user,
        password=settings.clickhouse_analyst_password.get_secret_value(),
    )
    try:
        rows = analyst.rows(showing.SQL)
    finally:
        analyst.close()
    showing.sql_answer(screen, rows)


def _summary(ledger: Ledger, counts: overview.Counts, match_p95_ms: float) -> dict[str, Any]:
    return {
        "events_sent": ledger.events_sent,
        "acked": ledger.acked,
        "kafka": ledger.kafka,
        "postgres": ledger.postgres,
        "clickhouse": ledger.clickhouse,
        "duplicates": ledger.duplicates,
        "dead_letters": ledger.dead_letters,
        "late": ledger.late,
        "windows": ledger.windows,
        "patterns": counts.detected,
        "match_p95_ms": match_p95_ms,
        "residue": ledger.residue,
    }


def _bar(screen: Console) -> Progress:
    return Progress(
        TextColumn("  {task.description:<22}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=screen,
    )
