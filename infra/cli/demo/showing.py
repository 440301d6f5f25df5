"""Say what was learned so that a person enjoys reading it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from infra.cli.demo.settling import Ledger
from infra.settings import Settings
from storage.postgres.overview import StrongPattern

SQL = """SELECT industry, campaign_type, sum(sessions) AS all_sessions, sum(events) AS all_events,
       round(sum(successful_sessions) / sum(sessions), 3) AS share_successful
FROM success_rate_by_industry_and_campaign
GROUP BY industry, campaign_type
ORDER BY all_sessions DESC"""
SQL_COLUMNS = ("industry", "campaign_type", "all_sessions", "all_events", "share_successful")


def heading(screen: Console, number: int, text: str) -> None:
    screen.print(f"\n[bold cyan]{number}.[/] [bold]{escape(text)}[/]")


def patterns(screen: Console, found: Sequence[StrongPattern], total: int) -> None:
    """The strongest patterns, one line each."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, justify in (
        ("after", "left"),
        ("on", "left"),
        ("success", "right"),
        ("usual", "right"),
        ("lift", "right"),
        ("sure", "right"),
        ("sessions", "right"),
        ("clients", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for pattern in found:
        table.add_row(
            f"[bold]{escape(' > '.join(pattern.path))}[/]",
            escape(pattern.campaign_type),
            f"[green]{pattern.success_rate:.1%}[/]",
            f"{pattern.context_rate:.1%}",
            "" if pattern.lift is None else f"{pattern.lift:.1f}×",
            f"{pattern.confidence:.2%}",
            f"{pattern.sample_size:,}",
            str(pattern.client_count),
        )
    screen.print(table)
    screen.print(
        f"[dim]{total} patterns are detected: seen at least 20 times, and more than 70 % sure to"
        " beat the usual rate.[/]"
    )


def match(screen: Console, question: str, answer: Mapping[str, Any]) -> None:
    """The first match of an answer, with its explanation."""
    best = answer["matches"][0]
    lines = [
        f"[bold]{escape(question)}[/]",
        "",
        f"[green]{escape(best['why']['sentence'])}[/]",
        "",
        f"matched      {escape(', '.join(best['why']['matched']))}",
    ]
    if best["why"]["not_matched"]:
        lines.append(f"not matched  {escape(', '.join(best['why']['not_matched']))}")
    interval = best["interval"]
    lines += [
        f"interval     {interval['low']:.1%} to {interval['high']:.1%} (95 %)",
        f"pattern      {best['pattern_hash'][:16]}…   distance {best['distance']:.3f}",
        f"as of        {answer['freshness']['as_of']}",
    ]
    screen.print(Panel("\n".join(lines), border_style="cyan", expand=False))


def sql_answer(screen: Console, rows: Sequence[Sequence[Any]]) -> None:
    """The statement and its rows."""
    screen.print(f"[dim]{escape(SQL)}[/]")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in SQL_COLUMNS:
        table.add_column(name)
    for row in rows:
        table.add_row(
            *(escape(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row)
        )
    screen.print(table)


def ledger(screen: Console, books: Ledger) -> None:
    """Where every event is."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    for figure, meaning in (
        (books.events_sent, "events sent by the Segment SDK"),
        (books.acked, "acknowledged: each has Kafka's delivery report"),
        (books.kafka, "lie in Kafka, heartbeats not counted"),
        (books.postgres, "distinct events in PostgreSQL"),
        (books.duplicates, "exact copies, merged"),
        (books.clickhouse, "distinct events in ClickHouse"),
        (books.dead_letters + books.conflicts, "dead letters and conflicts"),
        (books.late, "came after their window had fired, and were repaired"),
        (books.windows, f"windows of {books.windows_expected:,} expected"),
    ):
        table.add_row(f"{figure:,}", meaning)
    verdict = "[green]0[/]" if books.residue == 0 else f"[bold red]{books.residue:,}[/]"
    table.add_row(verdict, "[bold]unaccounted for[/]")
    screen.print(table)


def addresses(screen: Console, settings: Settings, read_key: str) -> None:
    """What is left running, and how to look at it."""
    home = f"SAGESTREAM_HOME={settings.home}"
    screen.print("\n[bold]The platform is still running:[/]")
    for name, address in (
        ("gateway", settings.gateway_url),
        ("serving", f"{settings.serving_url}/docs"),
        ("clickhouse", settings.clickhouse_url),
        ("flink", settings.flink_url),
        ("kafka", settings.kafka_bootstrap),
    ):
        screen.print(f"  {name:<11}{address}")
    screen.print(f"  read key   {read_key}")
    screen.print(f"Look at it: {home} sagestream status    Stop it: {home} sagestream down")
