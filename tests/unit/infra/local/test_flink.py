"""The window job counts as running when all its tasks do, and Flink's options follow settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.clock import ManualClock
from infra.errors import CannotRun
from infra.local import flink_config, flink_job
from infra.local.errors import MachineLacks
from infra.local.flink import find_distribution, flink_python
from infra.local.flink_job import FlinkJob
from infra.local.java import Java
from infra.local.parts import Context
from infra.local.paths import Paths
from infra.local.processes import ProcessTable
from infra.settings import load


def flink_job_with(tmp_path: Path, **settings: Any) -> FlinkJob:
    return FlinkJob(
        Context(
            settings=load(home=tmp_path, **settings),
            paths=Paths(tmp_path),
            clock=ManualClock(),
            table=ProcessTable(Paths(tmp_path)),
            environment={},
            find_java=lambda: Java(Path("/usr/bin/java"), 17, "PATH"),
        )
    )


def job(state: str, running: int = 4, start_time: int = 1, name: str = flink_job.JOB_NAME) -> Any:
    tasks = {"running": running, "total": 4}
    return {"name": name, "state": state, "start-time": start_time, "tasks": tasks}


def trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *jobs: Any) -> str | None:
    monkeypatch.setattr(flink_job, "rest", lambda _settings, _path: {"jobs": list(jobs)})
    return flink_job_with(tmp_path).trouble()


def test_a_running_job_is_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert trouble(monkeypatch, tmp_path, job("RUNNING")) is None


def test_a_job_with_tasks_still_to_start_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = trouble(monkeypatch, tmp_path, job("RUNNING", running=2))

    assert said == "2 of its 4 tasks are running"


def test_the_newest_job_of_the_name_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = trouble(
        monkeypatch,
        tmp_path,
        job("CANCELED", start_time=1),
        job("RUNNING", start_time=2),
        job("FAILED", start_time=3, name="somebody-elses"),
    )

    assert said is None


def test_no_job_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert trouble(monkeypatch, tmp_path) == "the job sagestream-windows is not there"


def test_signals_that_are_no_json_are_refused_by_setting_name(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="SAGESTREAM_SUCCESS_SIGNALS"):
        flink_job_with(tmp_path, success_signals="lesson.passed=1")._success_signals()


def test_there_is_a_slot_for_every_parallel_task(tmp_path: Path) -> None:
    settings = load(home=tmp_path, flink_parallelism=5)

    values = flink_config.values(tmp_path, settings, Path("/python"))

    assert values["taskmanager.numberOfTaskSlots"] == 5
    assert values["parallelism.default"] == 5


def test_flink_listens_on_loopback_only(tmp_path: Path) -> None:
    values = flink_config.values(tmp_path, load(home=tmp_path), Path("/python"))

    addresses = [v for k, v in values.items() if k.endswith(("bind-host", "bind-address", ".host"))]
    assert len(addresses) >= 4
    assert set(addresses) == {"127.0.0.1"}


def test_checkpoints_outlive_the_job(tmp_path: Path) -> None:
    values = flink_config.values(tmp_path, load(home=tmp_path), Path("/python"))

    key = "execution.checkpointing.externalized-checkpoint-retention"
    assert values[key] == "RETAIN_ON_CANCELLATION"


def test_a_missing_flink_environment_is_told_with_the_way_to_one(tmp_path: Path) -> None:
    settings = load(home=tmp_path, flink_python=str(tmp_path / "absent" / "python"))

    with pytest.raises(MachineLacks) as caught:
        flink_python(settings)

    assert "make setup" in caught.value.remedy
    assert "SAGESTREAM_FLINK_PYTHON" in caught.value.remedy


def test_an_environment_without_flink_is_told(tmp_path: Path) -> None:
    with pytest.raises(MachineLacks, match="apache-flink is not installed"):
        find_distribution(tmp_path / "bin" / "python")
