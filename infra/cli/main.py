"""The `sagestream` command: a table of contents.

Each command lives in a module of its own and imports what it needs when it is called, so that
`sagestream --help` stays quick.
"""

from __future__ import annotations

import typer

from infra.cli import (
    config,
    doctor,
    events,
    keys,
    migrate,
    play_demo,
    run,
    show_logs,
    state_hash,
    status,
    topics,
    up_down,
)
from infra.cli.output import Commands

app = typer.Typer(
    cls=Commands,
    help="Learn from product events which behaviour leads to success.",
    epilog="First steps: sagestream up, then sagestream status. Every command has --help.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

PLATFORM = "The platform on this machine"
app.command("up", rich_help_panel=PLATFORM)(up_down.up)
app.command("down", rich_help_panel=PLATFORM)(up_down.down)
app.command("status", rich_help_panel=PLATFORM)(status.command)
app.command("doctor", rich_help_panel=PLATFORM)(doctor.command)
app.command("logs", rich_help_panel=PLATFORM)(show_logs.command)
app.command("demo", rich_help_panel=PLATFORM)(play_demo.command)

USE = "Use it"
app.add_typer(keys.app, name="keys", rich_help_panel=USE)
app.add_typer(events.app, name="events", rich_help_panel=USE)
app.command("topics", rich_help_panel=USE)(topics.command)

MAINTAIN = "Maintain it"
app.command("migrate", rich_help_panel=MAINTAIN)(migrate.command)
app.add_typer(config.app, name="config", rich_help_panel=MAINTAIN)
app.command("state-hash", rich_help_panel=MAINTAIN)(state_hash.command)
app.command("run", hidden=True)(run.command)
