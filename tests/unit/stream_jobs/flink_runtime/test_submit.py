"""How the job is configured, and how a submission tells what went wrong."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.clock import ManualClock
from stream_jobs.flink_runtime import submit
from stream_jobs.flink_runtime.cluster import Cluster, innermost_cause
from stream_jobs.flink_runtime.errors import ClusterAway, JobRefused
from stream_jobs.flink_runtime.request import JobRequest

REQUEST = JobRequest(
    rest_url="http://127.0.0.1:8081",
    kafka_bootstrap="127.0.0.1:9092",
    parallelism=16,
    checkpoint_interval_ms=60_000,
    checkpoint_dir="file:///checkpoints",
    python_executable="/python",
    source_root="/app",
)
ARCHIVE = Path("/tmp/archive.zip")


class AnsweringCluster(Cluster):
    """Answers from a list; the last answer is repeated."""

    def __init__(self, jobs: Sequence[dict[str, Any]], stacktrace: str = "") -> None:
        super().__init__("http://cluster", ManualClock())
        self._jobs = list(jobs)
        self._stacktrace = stacktrace

    def _call(self, path: str, method: str) -> bytes:
        if path.endswith("/exceptions"):
            entries = [{"stacktrace": self._stacktrace}] if self._stacktrace else []
            return json.dumps({"exceptionHistory": {"entries": entries}}).encode()
        return json.dumps(self._jobs.pop(0) if len(self._jobs) > 1 else self._jobs[0]).encode()


def job(state: str, *tasks: str) -> dict[str, Any]:
    return {"state": state, "vertices": [{"status": task} for task in tasks]}


def test_checkpoints_are_kept_and_failures_are_retried_for_ever() -> None:
    options = submit.options(REQUEST, ARCHIVE)
    assert options["execution.checkpointing.interval"] == "60000 ms"
    assert options["parallelism.default"] == "16"
    assert (
        options["execution.checkpointing.externalized-checkpoint-retention"]
        == "RETAIN_ON_CANCELLATION"
    )
    assert options["restart-strategy.type"] == "exponential-delay"
    assert not any("attempts" in name for name in options)


def test_windows_count_from_the_epoch_wherever_the_cluster_stands() -> None:
    assert submit.options(REQUEST, ARCHIVE)["table.local-time-zone"] == "UTC"


def test_a_restored_job_names_its_checkpoint_and_a_fresh_one_does_not() -> None:
    assert "execution.state-recovery.path" not in submit.options(REQUEST, ARCHIVE)
    restored = JobRequest(**{f: getattr(REQUEST, f) for f in JobRequest.__slots__})
    object.__setattr__(restored, "restore_path", "file:///checkpoints/chk-7")
    options = submit.options(restored, ARCHIVE)
    assert options["execution.state-recovery.path"] == "file:///checkpoints/chk-7"


def test_a_job_runs_when_every_task_runs() -> None:
    cluster = AnsweringCluster(
        [job("CREATED"), job("RUNNING", "RUNNING", "DEPLOYING"), job("RUNNING", "RUNNING")]
    )
    cluster.wait_until_running("id", 10)


def test_a_job_that_ends_at_once_tells_the_cause() -> None:
    cluster = AnsweringCluster(
        [job("FAILED")], "top\nCaused by: java.io.IOException: no disk\n at x"
    )
    with pytest.raises(JobRefused, match="no disk"):
        cluster.wait_until_running("id", 10)


def test_a_job_that_restarts_for_ever_tells_the_cause() -> None:
    cluster = AnsweringCluster([job("RESTARTING", "FAILED")], "Caused by: topic is not there")
    with pytest.raises(JobRefused, match="topic is not there"):
        cluster.wait_until_running("id", 10)


def test_a_job_that_waits_for_slots_may_be_tried_again() -> None:
    with pytest.raises(ClusterAway, match="CREATED"):
        AnsweringCluster([job("CREATED")]).wait_until_running("id", 10)


def test_the_innermost_cause_is_one_line() -> None:
    trace = (
        "A: outer\n\tat a\nCaused by: B: middle\n\tat b\nCaused by: C: inner\n\tat c\n... 5 more"
    )
    assert innermost_cause(trace) == "C: inner"
    assert innermost_cause("only line") == "only line"
    assert innermost_cause("") == ""


def test_a_failure_is_one_sentence_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{}")))
    assert submit.main() == JobRefused.exit_code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1


def test_an_absent_cluster_is_told_before_anything_is_started() -> None:
    with pytest.raises(ClusterAway, match="does not answer"):
        Cluster("http://127.0.0.1:9", ManualClock()).slots()
