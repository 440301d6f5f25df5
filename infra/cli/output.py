"""What every command shares: one way to print, one way to fail."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from infra.errors import SagestreamError

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 240
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class Commands(TyperGroup):
    """Turns expected errors into one sentence, what to do next, and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        # Client libraries tell a log what they also raise; a person needs to read it once.
        logging.getLogger().addHandler(logging.NullHandler())
        rest = [*getattr(ctx, "_protected_args", []), *ctx.args]
        try:
            return super().invoke(ctx)
        except SagestreamError as error:
            _tell(error, as_json="--json" in rest)
            raise typer.Exit(error.exit_code) from None


def console(stderr: bool = False) -> Console:
    """A terminal that respects NO_COLOR and pipes."""
    from rich.console import Console

    screen = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not screen.is_terminal:
        screen.width = _PIPE_WIDTH  # nothing is cut in a file or a pipe
    return screen


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table whose columns named in capitals are numbers, aligned right."""
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.lower(), justify="right" if column.isupper() else "left")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console().print(table)


def amount_of(size_bytes: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if abs(size_bytes) < 1024:
            return f"{size_bytes:.0f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GiB"


def _tell(error: SagestreamError, *, as_json: bool) -> None:
    if as_json:
        print_json({"error": error.message, "remedy": error.remedy, "exit_code": error.exit_code})
        return
    from rich.markup import escape

    screen = console(stderr=True)
    screen.print(f"[bold red]error:[/] {escape(error.message)}")
    if error.remedy:
        screen.print(f"[bold]what to do:[/] {escape(error.remedy)}")
