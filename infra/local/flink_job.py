"""The window job: submitted when it does not run, from the newest checkpoint there is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from infra.local import class_archive, flink_config, tool
from infra.local.flink import find_distribution, flink_python, rest, wanted_jars
from infra.local.parts import Part
from infra.local.paths import source_root
from infra.topics import LEARNING_EVENTS, SESSION_WINDOWS

JOB_NAME = "sagestream-windows"
_UNDER_WAY = ("RUNNING", "RESTARTING", "CREATED", "INITIALIZING", "RECONCILING")
_SUBMIT_TIMEOUT_S = 300


class FlinkJob(Part):
    """A step with a lasting state: the job runs in the cluster, not in a process of its own."""

    name = "flink-job"
    needs = ("topics", "flink-jobmanager", "flink-taskmanager")
    ready_within_s = 360.0

    def address(self) -> str:
        return f"{self.settings.flink_url}/#/overview"

    def trouble(self) -> str | None:
        job = self._job()
        if job is None or job["state"] != "RUNNING":
            return f"the job {JOB_NAME} is {job['state'] if job else 'not there'}"
        running, total = job["tasks"]["running"], job["tasks"]["total"]
        return None if running == total else f"{running} of its {total} tasks are running"

    def exists(self) -> bool:
        return self._job() is not None

    def advance(self) -> str | None:
        job = self._job()
        if job is None or job["state"] not in _UNDER_WAY:
            self._submit()
        return self.trouble()

    def _job(self) -> dict[str, Any] | None:
        """The newest job of our name as the cluster's overview lists it; None without one."""
        jobs = (rest(self.settings, "/jobs/overview") or {}).get("jobs", [])
        ours = [job for job in jobs if job["name"] == JOB_NAME]
        return max(ours, key=lambda job: int(job["start-time"]), default=None)

    def _submit(self) -> None:
        checkpoints = self.context.paths.data("flink") / "checkpoints"
        restored = newest_checkpoint(checkpoints)
        request = {
            "rest_url": self.settings.flink_url,
            "kafka_bootstrap": self.settings.kafka_bootstrap,
            "parallelism": self.settings.flink_parallelism,
            "checkpoint_interval_ms": self.settings.flink_checkpoint_interval_ms,
            "checkpoint_dir": checkpoints.as_uri(),
            "python_executable": str(flink_python(self.settings)),
            "restore_path": restored.as_uri() if restored else None,
            "source_root": str(source_root()),
            "events_topic": LEARNING_EVENTS.name,
            "events_partitions": LEARNING_EVENTS.partitions,
            "windows_topic": SESSION_WINDOWS.name,
            "job_name": JOB_NAME,
            "success_signals": dict(self.settings.success_signals),
        }
        tool.run(
            f"Submitting the job {JOB_NAME}",
            (flink_python(self.settings), "-m", "stream_jobs.flink_runtime.submit"),
            env=self._environment(),
            cwd=self.context.paths.home,
            log=self.context.paths.log(self.name),
            timeout_s=_SUBMIT_TIMEOUT_S,
            given=json.dumps(request).encode(),
        )

    def _link_jars(self) -> Path:
        """A lib folder for the submitting JVM, which takes every jar it finds in one place."""
        wanted = wanted_jars(find_distribution(flink_python(self.settings)), self.context)
        lib = self.context.paths.data("flink") / "lib"
        shutil.rmtree(lib, ignore_errors=True)
        lib.mkdir(parents=True)
        for jar in wanted:
            (lib / jar.name).symlink_to(jar)
        return lib

    def _environment(self) -> dict[str, str]:
        """What the submitting Python and the short-lived JVM it starts need."""
        folder = self.context.paths.data("flink")
        distribution = find_distribution(flink_python(self.settings))
        java = self.context.find_java()
        archive = class_archive.options(
            self.context.class_archives,
            "flink-submit",
            java,
            wanted_jars(distribution, self.context),
        )
        return self.context.plain_environment(
            PYTHONPATH=str(source_root()),
            JAVA_HOME=str(java.home),
            JVM_ARGS=" ".join((*flink_config.SUBMIT_JAVA, *archive)),
            FLINK_ENV_JAVA_OPTS=" ".join(flink_config.module_options(distribution)),
            FLINK_CONF_DIR=str(folder / "conf"),
            FLINK_LIB_DIR=str(self._link_jars()),
            FLINK_LOG_DIR=str(self.context.paths.logs),
            LOG4J_PROPERTIES=str(folder / "conf" / "log4j.properties"),
        )


def newest_checkpoint(checkpoints: Path) -> Path | None:
    """The last completed retained checkpoint of any earlier run of the job."""
    complete = [p.parent for p in checkpoints.glob("*/chk-*/_metadata")]
    return max(complete, key=lambda p: (p / "_metadata").stat().st_mtime_ns, default=None)
