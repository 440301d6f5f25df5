"""`sagestream state-hash`."""

from __future__ import annotations

import typer

from infra.cli.output import Json, print_json


def command(as_json: Json = False) -> None:
    """Print one hash of all stored windows and patterns.

    Equal before and after any restart, replay or restore: what differs was changed by new events.

    Example: sagestream state-hash
    """
    from infra import settings
    from storage.postgres.pool import connect
    from storage.postgres.state_hash import state_hash

    with connect(settings.load().postgres_dsn, name="state-hash") as connection:
        connection.rollback()
        found = state_hash(connection)
    if as_json:
        print_json({"state_hash": found})
    else:
        typer.echo(found)
