"""Sagestream's own processes, and the migrations they wait for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from infra.local import http_probe, logs
from infra.local.errors import PartFailed
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
        log = self.context.paths.log(self.name)
        with log.open("wb") as output:
            code = subprocess.run(
                (sys.executable, "-m", "infra.cli", "migrate", "--store", self._store),
                env=_product_environment(self.context),
                cwd=self.context.paths.home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_MIGRATE_TIMEOUT_S,
                check=False,
            ).returncode
        if code != 0:
            raise PartFailed(
                f"The tables in {self._store} could not be brought up to date. {logs.quote(log)}",
                remedy="Mend what the log names, then run `sagestream up` again; what was applied"
                " is kept.",
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
