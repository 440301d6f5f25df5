"""The window job: submitted when it does not run, from the newest checkpoint there is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from infra.local import logs
from infra.local.errors import PartFailed
from infra.local.flink import flink_python, rest
from infra.local.parts import Part
from infra.local.paths import source_root

JOB_NAME = "sagestream-windows"
_UNDER_WAY = ("RUNNING", "RESTARTING", "CREATED", "INITIALIZING", "RECONCILING")
_SUBMIT_TIMEOUT_S = 180


class FlinkJob(Part):
    """A step with a lasting state: the job runs in the cluster, not in a process of its own."""

    name = "flink-job"
    needs = ("topics", "flink-jobmanager", "flink-taskmanager")
    ready_within_s = 240.0

    def address(self) -> str:
        return f"{self.settings.flink_url}/#/overview"

    def trouble(self) -> str | None:
        state = self._state()
        return None if state == "RUNNING" else f"the job {JOB_NAME} is {state or 'not there'}"

    def advance(self) -> str | None:
        if self._state() not in _UNDER_WAY:
            self._submit()
        return self.trouble()

    def _state(self) -> str:
        """State of the newest job of our name; empty when there is none."""
        jobs = (rest(self.settings, "/jobs/overview") or {}).get("jobs", [])
        ours = [job for job in jobs if job["name"] == JOB_NAME]
        return max(ours, key=lambda job: job["start-time"])["state"] if ours else ""

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
        }
        log = self.context.paths.log(self.name)
        logs.rotate(log)
        with log.open("ab") as output:
            code = subprocess.run(
                (str(flink_python(self.settings)), "-m", "stream_jobs.flink_runtime.submit"),
                input=json.dumps(request).encode(),
                env=self.context.plain_environment(
                    PYTHONPATH=str(source_root()),
                    JAVA_HOME=str(self.context.find_java().home),
                    FLINK_CONF_DIR=str(self.context.paths.data("flink") / "conf"),
                    FLINK_LIB_DIR=str(self.context.paths.data("flink") / "lib"),
                ),
                cwd=self.context.paths.home,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_SUBMIT_TIMEOUT_S,
                check=False,
            ).returncode
        if code != 0:
            raise PartFailed(
                f"The job {JOB_NAME} could not be submitted. {logs.quote(log)}",
                remedy=f"Read {log} and `sagestream logs flink-jobmanager`, then run"
                " `sagestream up` again.",
            )


def newest_checkpoint(checkpoints: Path) -> Path | None:
    """The last completed retained checkpoint of any earlier run of the job."""
    complete = [p.parent for p in checkpoints.glob("*/chk-*/_metadata")]
    return max(complete, key=lambda p: (p / "_metadata").stat().st_mtime_ns, default=None)
