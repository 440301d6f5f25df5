"""`sagestream migrate`."""

from __future__ import annotations

import importlib
from typing import Annotated

import typer

from infra.cli.output import Json, print_json
from infra.errors import RejectedInput

# store → module with `migrate(settings) -> list[str]`, the names of what was applied now
_MODULES = {"postgres": "storage.postgres.migrate", "clickhouse": "storage.clickhouse.migrate"}


def command(
    store: Annotated[str, typer.Option(help="postgres or clickhouse; both when not given.")] = "",
    as_json: Json = False,
) -> None:
    """Bring the stores' tables up to date; repeating it changes nothing.

    Example: sagestream migrate
    Example: sagestream migrate --store postgres
    """
    from infra import settings

    if store and store not in _MODULES:
        raise RejectedInput(
            f"There is no store named {store!r}.", remedy=f"Choose one of {', '.join(_MODULES)}."
        )
    loaded = settings.load()
    applied: dict[str, list[str]] = {}
    for name in [store] if store else list(_MODULES):
        module = importlib.import_module(_MODULES[name])
        applied[name] = [str(version) for version in module.migrate(loaded)]
    if as_json:
        print_json({"applied": applied})
        return
    for name, versions in applied.items():
        typer.echo(f"{name}: {', '.join(versions) if versions else 'up to date'}")
