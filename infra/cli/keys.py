"""`sagestream keys`: who may send and who may read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.output import Commands, Json, console, print_json, print_table
from infra.errors import RejectedInput

if TYPE_CHECKING:
    from storage.postgres.keys import KeyStore

app = typer.Typer(
    cls=Commands, help="API keys: who may send and who may read.", no_args_is_help=True
)
_SCOPES_OF_A_SENDER = ["ingest", "read"]


@app.command("create")
def create(
    client: Annotated[str, typer.Argument(help="The tenant: 1 to 50 of A-Z a-z 0-9 _ . : -")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="ingest, read or admin; repeat it for several. Else ingest and read."),
    ] = None,
    name: Annotated[str, typer.Option(help="A note for people.")] = "",
    as_json: Json = False,
) -> None:
    """Make a key. Its secret is shown once; only its hash is stored.

    Example: sagestream keys create acme --scope ingest --scope read
    """
    with _store() as store:
        key, secret = store.create(client, scope or _SCOPES_OF_A_SENDER, name)
    if as_json:
        print_json(asdict(key) | {"key": secret})
        return
    screen = console()
    screen.print(f"Key {key.key_id} for {key.client_id} ({', '.join(key.scopes)}), shown once:\n")
    screen.print(f"  [bold]{secret}[/]\n")
    screen.print("Next: export SAGESTREAM_API_KEY=<that key>; sagestream events send FILE")


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List every key, without secrets; revoked ones too.

    Example: sagestream keys list --json
    """
    with _store() as store:
        found = store.list()
    if as_json:
        print_json([asdict(key) for key in found])
        return
    rows = [
        (
            key.key_id,
            key.client_id,
            ", ".join(key.scopes),
            key.name,
            f"{key.created_at:%Y-%m-%d %H:%M}",
            f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "",
        )
        for key in found
    ]
    print_table("", ("id", "client", "scopes", "name", "created", "revoked"), rows)


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="The 8 characters after `ssk_`.")],
    as_json: Json = False,
) -> None:
    """Make a key useless, within 30 seconds everywhere. Doing it twice is fine.

    Example: sagestream keys revoke a1B2c3D4
    """
    with _store() as store:
        known = store.revoke(key_id)
    if not known:
        raise RejectedInput(
            f"There is no key {key_id!r}.", remedy="`sagestream keys list` shows the ids."
        )
    if as_json:
        print_json({"revoked": key_id})
    else:
        typer.echo(f"revoked {key_id}")


@contextmanager
def _store() -> Iterator[KeyStore]:
    from infra import settings
    from storage.postgres.keys import KeyStore
    from storage.postgres.pool import Pool

    pool = Pool(settings.load().postgres_dsn, name="cli", connections_max=1)
    try:
        yield KeyStore(pool)
    finally:
        pool.close()
