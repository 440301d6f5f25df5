"""`sagestream logs PART`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.output import Json, print_json
from infra.clock import Clock
from infra.errors import RejectedInput


def command(
    part: Annotated[str, typer.Argument(help="A part, as `sagestream status` names it.")],
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many lines.")] = 40,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
    as_json: Json = False,
) -> None:
    """Show the last lines of a part's log.

    Example: sagestream logs gateway --follow
    Example: sagestream logs kafka -n 200
    """
    from infra import settings
    from infra.cli.progress import Screen
    from infra.clock import SystemClock
    from infra.local import logs
    from infra.local.paths import Paths
    from infra.local.supervisor import Supervisor

    loaded = settings.load()
    paths = Paths(loaded.home)
    names = Supervisor(loaded, SystemClock(), Screen()).logs_of(part)
    if not names:
        known = sorted(log.stem for log in paths.logs.glob("*.log"))
        raise RejectedInput(
            f"There is no log of {part!r} in {paths.logs}.",
            remedy=f"There are: {', '.join(known)}." if known else "Run `sagestream up` first.",
        )
    last = {name: logs.tail(paths.log(name), lines) for name in names}
    if as_json:
        print_json([{"log": str(paths.log(name)), "lines": last[name]} for name in names])
        return
    for name in names:
        for line in last[name]:
            _print(name, line, len(names) > 1)
    if follow:
        _follow({name: paths.log(name) for name in names}, SystemClock())


def _follow(files: dict[str, Path], clock: Clock) -> None:
    """Until Ctrl-C; begins again at the start when a log was rotated."""
    seen = {name: file.stat().st_size for name, file in files.items()}
    while True:
        for name, file in files.items():
            size = file.stat().st_size if file.exists() else 0
            start = seen[name] if size >= seen[name] else 0
            if size > start:
                with file.open("rb") as stream:
                    stream.seek(start)
                    text = stream.read().decode("utf-8", "replace")
                for line in text.splitlines():
                    _print(name, line, len(files) > 1)
                sys.stdout.flush()
            seen[name] = size
        clock.sleep(0.3)


def _print(name: str, line: str, named: bool) -> None:
    sys.stdout.write(f"{name}: {line}\n" if named else f"{line}\n")
