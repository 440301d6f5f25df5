"""`sagestream keys`."""

from __future__ import annotations

import typer

app = typer.Typer(help="API keys: who may send and who may read.", no_args_is_help=True)


@app.command("list")
def list_keys() -> None:
    """x"""
