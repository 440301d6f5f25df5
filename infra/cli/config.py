"""`sagestream config show`."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.output import Json, print_json, print_table

app = typer.Typer(help="Look at the settings.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at the settings."""


@app.command("show")
def show(
    redacted: Annotated[
        bool, typer.Option("--redacted", help="Secrets are always starred; kept for scripts.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Print every setting as the processes see it, secrets starred.

    Any of them can be given in the environment as SAGESTREAM_<NAME>.

    Example: sagestream config show --redacted --json
    """
    from infra import settings

    _ = redacted
    values = settings.load().redacted()
    if as_json:
        print_json(values)
    else:
        print_table("", ("setting", "value"), values.items())
