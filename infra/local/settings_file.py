"""`<home>/settings.env`: what every command and process needs to find the platform."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from infra.local.errors import FolderUnusable
from infra.settings import ENV_PREFIX, PORT_OFFSETS, Settings

_HEADER = "# Written by `sagestream up`. Holds passwords: keep it to yourself.\n"
PASSWORDS = (
    "postgres_password",
    "redis_password",
    "clickhouse_password",
    "clickhouse_analyst_password",
)
# What one `up` was told in its environment and all later commands must know too.
_KEPT = (
    "port_base",
    *PORT_OFFSETS,
    "listen_host",
    "flink_parallelism",
    "flink_checkpoint_interval_ms",
    "flink_python",
    "artifacts",
)


def render(settings: Settings, new_password: Callable[[], str]) -> dict[str, str]:
    """Setting name → text; passwords that are not set are made.

    Ports are written only when somebody chose them, so that the others follow `port_base`.
    """
    chosen = settings.model_fields_set
    lines = {name: str(getattr(settings, name)) for name in _KEPT if name in chosen}
    lines["port_base"] = str(settings.port_base)
    for name in PASSWORDS:
        held: SecretStr = getattr(settings, name)
        lines[name] = held.get_secret_value() or new_password()
    return lines


def read(path: Path) -> dict[str, str]:
    """Setting name → text as written; empty when there is no file."""
    try:
        rows = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (row.partition("=") for row in rows if "=" in row and not row.startswith("#"))
    return {key.removeprefix(ENV_PREFIX).lower(): value for key, _, value in pairs}


def write(path: Path, lines: dict[str, str]) -> None:
    """Replace the file in one step; readable by its owner only.

    Raises:
        FolderUnusable: it cannot be written.
    """
    text = _HEADER + "".join(f"{ENV_PREFIX}{k.upper()}={v}\n" for k, v in sorted(lines.items()))
    unfinished = path.with_suffix(".new")
    try:
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        unfinished.replace(path)
    except OSError as error:
        raise FolderUnusable(
            f"{path} cannot be written ({error.strerror}).",
            remedy="Make the folder writable, or choose another with SAGESTREAM_HOME.",
        ) from error


def new_password() -> str:
    return secrets.token_urlsafe(24)
