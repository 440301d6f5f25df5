"""`sagestream demo`: the command; the show itself is `infra.cli.demo.main`."""

from __future__ import annotations

import importlib
from typing import Annotated

import typer


def command(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the platform running and print its addresses.")
    ] = False,
) -> None:
    """Start the platform, send 72,312 real events, show what was learned, stop.

    Example: sagestream demo --keep
    """
    from infra import settings

    show = importlib.import_module("infra.cli.demo.main")
    raise typer.Exit(int(show.main(settings.load(), keep=keep)))
