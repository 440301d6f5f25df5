"""A platform of the demonstration's own: fresh every time, never somebody's data."""

from __future__ import annotations

import shutil
from pathlib import Path

from infra import settings as settings_module
from infra.clock import Clock
from infra.errors import CannotRun
from infra.local.supervisor import Reporter, Supervisor
from infra.settings import Settings

FOLDER = "demo"
# Beside the ports of a platform that may be running with its defaults; a port base that
# somebody chose is taken as it is.
PORT_BASE_OFFSET = 1_000
_MARK = "this-folder-belongs-to-the-demonstration"


def fresh_settings(base: Settings, clock: Clock, reporter: Reporter) -> Settings:
    """Stop and remove what an earlier demonstration left; settings for the new one.

    Raises:
        CannotRun: the folder holds something that no demonstration made.
    """
    home = base.home / FOLDER
    chosen = "port_base" in base.model_fields_set
    port_base = base.port_base if chosen else base.port_base + PORT_BASE_OFFSET
    settings = settings_module.load(home=home, port_base=port_base)
    if home.exists():
        if not (home / _MARK).is_file():
            raise CannotRun(
                f"{home} was not made by the demonstration.",
                remedy="Move that folder away, or set SAGESTREAM_HOME to another place.",
            )
        Supervisor(settings, clock, reporter).down()
        _remove(home)
    home.mkdir(parents=True)
    (home / _MARK).touch()
    return settings_module.load(home=home, port_base=port_base)


def _remove(home: Path) -> None:
    try:
        shutil.rmtree(home)
    except OSError as error:
        raise CannotRun(
            f"{home} cannot be removed: {error.strerror or error}.",
            remedy="Run `sagestream down`, remove the folder by hand and try again.",
        ) from None
