"""Sagestream's own processes, and the migrations they wait for."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from infra.local import http_probe, tool
from infra.local.parts import Context, Part
from infra.local.paths import source_root
from infra.local.processes import Listener, ProcessSpec

_MIGRATE_TIMEOUT_S = 120


class Service(Part):
    """`sagestream run NAME`, asked over HTTP whether it is ready."""

    def __init__(
        self,
        context: Context,
        name: str,
        *,
        port_setting: str,
        needs: tuple[str, ...] = (),
        ready_path: str = "/ready",
    ) -> None:
        super().__init__(context)
        self.name = name
        self.needs = needs
        self._listener = Listener(
            getattr(context.settings, port_setting), port_setting, context.settings.listen_host
        )
        self._ready_path = ready_path

    def address(self) -> str:
        return f"http://{self._listener.address}"

    def processes(self) -> Sequence[ProcessSpec]:
        return (
            ProcessSpec(
                name=self.name,
                argv=(sys.executable, "-m", "infra.cli", "run", self.name),
                env=_product_environment(self.context),
                cwd=self.context.paths.home,
                listeners=(self._listener,),
            ),
        )

    def trouble(self) -> str | None:
        url = self.address() + self._ready_path
        answer = http_probe.get(self._listener.host, self._listener.port, self._ready_path)
        if answer is None:
            return f"{url} does not answer yet"
        status, body = answer
        return None if status == 200 else _degraded(body) or f"{url} answers {status}"


class Migrations(Part):
    """A store has the tables of this release; looked at by every `up`."""

    ready_within_s = 180.0
    shown = False

    def __init__(self, context: Context, store: str) -> None:
        super().__init__(context)
        self.name = f"migrate-{store}"
        self.needs = (store,)
        self._store = store

    def trouble(self) -> str | None:
        return "it has not been looked at yet"

    def advance(self) -> str | None:
        tool.run(
            f"Bringing the tables in {self._store} up to date",
            (sys.executable, "-m", "infra.cli", "migrate", "--store", self._store),
            env=_product_environment(self.context),
            cwd=self.context.paths.home,
            log=self.context.paths.log(self.name),
            timeout_s=_MIGRATE_TIMEOUT_S,
        )
        return None


def _product_environment(context: Context) -> dict[str, str]:
    path = context.environment.get("PYTHONPATH", "")
    root = str(source_root())
    joined = root if not path else f"{root}:{path}"
    return {**context.environment, "PYTHONPATH": joined, "PYTHONUNBUFFERED": "1"}


def _degraded(body: bytes) -> str:
    """What a /ready answer says is missing."""
    try:
        degraded = json.loads(body)["degraded"]
        return "; ".join(f"{name}: {trouble}" for name, trouble in degraded.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
