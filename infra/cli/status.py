"""`sagestream status`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from infra.cli.output import Json, amount_of, print_json, print_table

_MARKS = {"running": "[green]✓ running[/]", "starting": "[yellow]… starting[/]"}


def command(as_json: Json = False) -> None:
    """Tell which parts run, where, since when, and what is wrong with the others.

    Exit code 0 when everything runs, 3 otherwise.

    Example: sagestream status --json
    """
    from infra import settings
    from infra.cli.progress import Screen
    from infra.clock import SystemClock
    from infra.local.supervisor import Supervisor

    loaded = settings.load()
    found = Supervisor(loaded, SystemClock(), Screen()).status()
    well = all(part.state == "running" for part in found)
    if as_json:
        print_json(
            {"home": str(loaded.home), "ready": well, "parts": [asdict(part) for part in found]}
        )
    else:
        rows = [
            (
                part.part,
                _MARKS.get(part.state, f"[red]✗ {part.state}[/]"),
                part.address,
                _age(part.uptime_s) if part.pids else "",
                amount_of(part.memory_bytes) if part.pids else "",
                part.trouble,
            )
            for part in found
        ]
        print_table("", ("part", "state", "address", "UP", "MEMORY", "trouble"), rows)
        if not well:
            typer.echo("\nStart what is missing with: sagestream up")
    if not well:
        raise typer.Exit(3)


def _age(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
