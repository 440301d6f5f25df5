"""A standalone Flink cluster from the apache-flink wheel: one job manager, one task manager."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.local import artifacts, class_archive, flink_config, http_probe
from infra.local.errors import MachineLacks
from infra.local.parts import Context, Part
from infra.local.paths import source_root
from infra.local.processes import Listener, ProcessSpec
from infra.settings import Settings


class FlinkPart(Part):
    """What both managers share: the distribution, the jars, the configuration."""

    needs = ("jars",)
    ready_within_s = 180.0
    entry_point: str
    java_options: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.context.paths.data("flink")

    def address(self) -> str:
        return self.settings.flink_url

    def prepare(self) -> None:
        # What a killed manager left behind is of no use to the next one.
        shutil.rmtree(self._scratch, ignore_errors=True)
        for folder in (self.folder / "conf", self.folder / "checkpoints", self._scratch):
            folder.mkdir(parents=True, exist_ok=True)
        class_archive.tidy(self.context.class_archives, self.name)
        flink_config.write(self.folder, self.settings, flink_python(self.settings))

    def processes(self) -> Sequence[ProcessSpec]:
        distribution = find_distribution(flink_python(self.settings))
        jars = wanted_jars(distribution, self.context)
        java = self.context.find_java()
        archives = self.context.class_archives
        return (
            ProcessSpec(
                name=self.name,
                argv=(
                    str(java.executable),
                    *self.java_options,
                    *class_archive.options(archives, self.name, java, jars),
                    *flink_config.module_options(distribution),
                    f"-Dlog4j.configurationFile={self.folder / 'conf' / 'log4j.properties'}",
                    "-cp",
                    ":".join(map(str, jars)),
                    self.entry_point,
                    "--configDir",
                    str(self.folder / "conf"),
                    *(
                        "-D",
                        f"io.tmp.dirs={self._scratch}",
                        "-D",
                        f"web.upload.dir={self._scratch}",
                    ),
                ),
                env=self._environment(distribution),
                cwd=self.context.paths.home,
                listeners=self._listeners(),
                # Writing the class archive at exit takes a while on a busy machine.
                stop_within_s=60,
            ),
        )

    @property
    def _scratch(self) -> Path:
        return self.folder / "tmp" / self.name

    def _listeners(self) -> tuple[Listener, ...]:
        return ()

    def _environment(self, distribution: Path) -> Mapping[str, str]:
        return self.context.plain_environment(
            FLINK_HOME=str(distribution),
            FLINK_CONF_DIR=str(self.folder / "conf"),
            FLINK_OPT_DIR=str(distribution / "opt"),
            FLINK_PLUGINS_DIR=str(distribution / "plugins"),
            # Python workers import the product's pure packages from here.
            PYTHONPATH=str(source_root()),
        )


class JobManager(FlinkPart):
    """Dispatcher, scheduler and the REST interface."""

    name = "flink-jobmanager"
    entry_point = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
    java_options = flink_config.JOB_MANAGER_JAVA

    def trouble(self) -> str | None:
        overview = rest(self.settings, "/overview")
        return None if overview is not None else f"{self.address()} does not answer yet"

    def _listeners(self) -> tuple[Listener, ...]:
        return (
            Listener(self.settings.flink_rest_port, "flink_rest_port"),
            Listener(self.settings.flink_rpc_port, "flink_rpc_port"),
        )


class TaskManager(FlinkPart):
    """The slots that run the job, and its Python workers."""

    name = "flink-taskmanager"
    # It looks for the job manager by itself, so both start at the same time.
    companions = ("flink-jobmanager",)
    entry_point = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
    java_options = flink_config.TASK_MANAGER_JAVA

    def address(self) -> str:
        return f"{self.settings.flink_parallelism} slots"

    def trouble(self) -> str | None:
        overview = rest(self.settings, "/overview")
        if overview is None:
            return "the job manager does not answer yet"
        return None if overview["taskmanagers"] >= 1 else "it has not registered yet"


def rest(settings: Settings, path: str) -> Any:
    """JSON of Flink's REST interface; None while it does not answer."""
    answer = http_probe.get("127.0.0.1", settings.flink_rest_port, path)
    if answer is None or answer[0] != 200:
        return None
    return json.loads(answer[1])


def flink_python(settings: Settings) -> Path:
    """The Python of Flink's own environment.

    Raises:
        MachineLacks: there is none.
    """
    configured = settings.flink_python or source_root() / ".venv-flink" / "bin" / "python"
    # Not resolved: the link is what makes Python find the environment's packages.
    python = Path(os.path.abspath(Path(configured).expanduser()))  # noqa: PTH100
    if not python.is_file():
        raise MachineLacks(
            f"Flink's Python environment is missing ({python} does not exist).",
            remedy="Run `make setup`, or set SAGESTREAM_FLINK_PYTHON to a Python 3.11 with"
            " apache-flink installed.",
        )
    return python


def wanted_jars(distribution: Path, context: Context) -> list[Path]:
    """The wheel's own jars, the Python operators, and the Kafka connector."""
    return [
        *sorted((distribution / "lib").glob("*.jar")),
        *sorted((distribution / "opt").glob("flink-python-*.jar")),
        *artifacts.classpath("flink", context.jars),
    ]


def find_distribution(python: Path) -> Path:
    """Flink's own folder inside the wheel (bin, lib, opt, conf)."""
    found = sorted(python.parents[1].glob("lib/python3.*/site-packages/pyflink/lib"))
    if not found:
        raise MachineLacks(
            f"apache-flink is not installed for {python}.",
            remedy="Run `make setup` again.",
        )
    return found[0].parent
