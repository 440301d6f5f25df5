"""`sagestream events`: send them from a file."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from infra.cli.output import Commands, Json, console, print_json
from infra.errors import RejectedInput

if TYPE_CHECKING:
    from infra.cli.event_sender import Line, Report

app = typer.Typer(cls=Commands, help="Send events.", no_args_is_help=True)
_PRINTED_MAX = 20


class WrongUse(RejectedInput):
    """The command was called without something it needs."""

    exit_code = 2


@app.callback()
def _group() -> None:
    """Send events."""


@app.command("send")
def send(
    file: Annotated[str, typer.Argument(help="A file with one JSON event per line; - = stdin.")],
    key: Annotated[
        str,
        typer.Option(envvar="SAGESTREAM_API_KEY", help="An API key with the scope ingest."),
    ] = "",
    url: Annotated[str, typer.Option(help="Another gateway than the one of the settings.")] = "",
    as_json: Json = False,
) -> None:
    """Send events from a file, in batches of 500, and report every one that was refused.

    An event needs session_id and event_type; event_id, user_id, timestamp (ISO 8601) and
    event_data are optional. Good events of a batch are stored even when others are refused.

    Exit code: 0 all accepted, 1 some refused, 2 wrong use or key, 3 gateway unavailable.

    Example: sagestream events send events.ndjson
    Example: echo '{"session_id":"s1","event_type":"view"}' | sagestream events send -
    """
    from infra import settings
    from infra.cli.event_sender import EventSender, read_lines
    from infra.clock import SystemClock

    if not key:
        raise WrongUse(
            "Sending needs an API key.",
            remedy="Give --key or set SAGESTREAM_API_KEY; `sagestream keys create` makes one.",
        )
    clock = SystemClock()
    began = clock.monotonic()
    sender = EventSender(
        url or settings.load().gateway_url, key, clock, lambda: f"cli-{uuid.uuid4().hex}"
    )
    with _opened(file) as (stream, size_bytes), _progress(size_bytes) as (seen, advanced):
        report = sender.send(seen(read_lines(stream)), advanced)
    _show(report, clock.monotonic() - began, as_json)
    if report.rejected:
        raise typer.Exit(1)


def _show(report: Report, seconds: float, as_json: bool) -> None:
    if as_json:
        print_json(asdict(report) | {"seconds": round(seconds, 3)})
        return
    errors = console(stderr=True)
    for rejection in report.rejections[:_PRINTED_MAX]:
        name = f" ({rejection.event_id})" if rejection.event_id else ""
        what = f"{rejection.field} {rejection.reason}".strip()
        errors.print(f"line {rejection.line}{name}: {what}; {rejection.remedy}", markup=False)
    if report.rejected > _PRINTED_MAX:
        errors.print(f"and {report.rejected - _PRINTED_MAX} more; --json lists them")
    rate = report.sent / seconds if seconds > 0 else 0.0
    typer.echo(f"{report.accepted:,} accepted, {report.rejected:,} refused, {rate:,.0f} events/s")


@contextmanager
def _opened(file: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """(stream, size in bytes or None when it cannot be known)."""
    if file == "-":
        yield sys.stdin.buffer, None
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115
    except OSError as error:
        raise WrongUse(
            f"{file} cannot be read ({error.strerror}).", remedy="Give an existing file, or -."
        ) from error
    with stream:
        yield stream, Path(file).stat().st_size


@contextmanager
def _progress(
    size_bytes: int | None,
) -> Iterator[tuple[Callable[[Iterator[Line]], Iterator[Line]], Callable[[Report], None]]]:
    """A bar by bytes read: (wraps the lines to count them, shows a report)."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    screen = console(stderr=True)
    read_bytes = 0

    def seen(lines: Iterator[Line]) -> Iterator[Line]:
        nonlocal read_bytes
        for line in lines:
            read_bytes += len(line.text) + 1
            yield line

    with Progress(
        TextColumn("sending"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    ) as bar:
        task = bar.add_task("sending", total=size_bytes, note="")

        def advanced(report: Report) -> None:
            note = f"{report.accepted:,} accepted, {report.rejected:,} refused"
            bar.update(task, completed=read_bytes, note=note)

        yield seen, advanced
