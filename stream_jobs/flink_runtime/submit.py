"""Submit the window job to a running cluster: `python -m stream_jobs.flink_runtime.submit`.

Runs in Flink's own Python environment. Reads a `JobRequest` as JSON on standard input, prints
`{"job_id": …}` once every task runs; on failure one sentence on standard error and an exit code.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.util import find_spec
from os import environ as library_environment
from pathlib import Path
from typing import Any

from infra.clock import Clock, SystemClock
from infra.errors import SagestreamError
from stream_jobs.flink_runtime import packaging, window_sql
from stream_jobs.flink_runtime.cluster import Cluster, innermost_cause
from stream_jobs.flink_runtime.errors import JobRefused, WrongRequest
from stream_jobs.flink_runtime.request import JobRequest, parse

_START_TIMEOUT_S = 150.0


def options(request: JobRequest, archive: Path) -> dict[str, str]:
    """Every Flink option of the job."""
    host, port = request.rest_address
    chosen = {
        "execution.target": "remote",
        "execution.attached": "false",
        "rest.address": host,
        "rest.port": str(port),
        "pipeline.name": request.job_name,
        "parallelism.default": str(request.parallelism),
        # Fixed, so that a checkpoint can be restored with another parallelism.
        "pipeline.max-parallelism": "128",
        "pipeline.object-reuse": "true",
        # Window bounds count from the epoch in UTC, wherever the cluster stands.
        "table.local-time-zone": "UTC",
        "execution.checkpointing.interval": f"{request.checkpoint_interval_ms} ms",
        "execution.checkpointing.dir": request.checkpoint_dir,
        "execution.checkpointing.mode": "AT_LEAST_ONCE",
        "execution.checkpointing.tolerable-failed-checkpoints": "10",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "30 s",
        "python.executable": request.python_executable,
        "python.client.executable": request.python_executable,
        "python.files": archive.as_uri(),
        # A closed window waits at most this long for others on its way to Python.
        "python.fn-execution.bundle.time": "200",
        "python.fn-execution.bundle.size": "1000",
    }
    if request.restore_path:
        chosen["execution.state-recovery.path"] = request.restore_path
    return chosen | dict(request.options)


def submit(request: JobRequest, archive: Path) -> str:
    """Hand the job to the cluster; returns its id, before any task has started.

    Raises:
        JobRefused: quotes the planner's or the cluster's reason.
    """
    _prepare_library()
    from py4j.protocol import Py4JError
    from pyflink.common import Configuration
    from pyflink.table import DataTypes, EnvironmentSettings, TableEnvironment
    from pyflink.table.udf import udf
    from pyflink.util.exceptions import JavaException

    from stream_jobs.flink_runtime.closed_window_function import CloseWindow

    configuration = Configuration()
    for name, value in options(request, archive).items():
        configuration.set_string(name, value)
    text = DataTypes.STRING()
    try:
        table: Any = TableEnvironment.create(
            EnvironmentSettings.new_instance()
            .in_streaming_mode()
            .with_configuration(configuration)
            .build()
        )
        table.create_temporary_function(
            window_sql.CLOSE_WINDOW,
            udf(
                CloseWindow(request.success_signals),
                input_types=[text, text, DataTypes.ARRAY(text)],
                result_type=DataTypes.BYTES(),
            ),
        )
        readers = min(request.parallelism, request.events_partitions)
        table.execute_sql(
            window_sql.source_table(
                request.kafka_bootstrap, request.events_topic, request.consumer_group, readers
            )
        )
        table.execute_sql(window_sql.sink_table(request.kafka_bootstrap, request.windows_topic))
        result = table.execute_sql(window_sql.insert_windows())
        return str(result.get_job_client().get_job_id())
    except (JavaException, Py4JError) as error:
        raise JobRefused(f"Flink refused the job: {innermost_cause(str(error))}") from error


def _prepare_library() -> None:
    """PyFlink is configured by environment variables, before its first import; we only write them.

    Without the first, PyFlink overwrites FLINK_LIB_DIR and misses the Kafka connector there.
    Without the second, Python workers would look for this client process, which will be gone.
    """
    found = find_spec("pyflink")
    if found is None or not found.submodule_search_locations:
        raise JobRefused(
            "apache-flink is not installed for this Python.",
            remedy="Run `make setup`, and submit with the Python of .venv-flink.",
        )
    library_environment.setdefault("FLINK_HOME", next(iter(found.submodule_search_locations)))
    library_environment["_python_worker_execution_mode"] = "process"


def run(request: JobRequest, clock: Clock) -> str:
    """Submit and wait until the job runs; a job that does not start is cancelled."""
    cluster = Cluster(request.rest_url, clock)
    slots = cluster.slots()
    if slots < request.parallelism:
        raise JobRefused(
            f"The job needs {request.parallelism} slots, the cluster has {slots}.",
            remedy="Add task managers or slots, or lower SAGESTREAM_FLINK_PARALLELISM.",
        )
    with tempfile.TemporaryDirectory(prefix="sagestream-job-") as folder:
        try:
            archive = packaging.write_archive(Path(request.source_root), Path(folder))
        except FileNotFoundError as error:
            raise WrongRequest(f"Field source_root of the request is wrong: {error}.") from error
        job_id = submit(request, archive)
    try:
        cluster.wait_until_running(job_id, _START_TIMEOUT_S)
    except SagestreamError:
        cluster.cancel(job_id)
        raise
    return job_id


def main() -> int:
    """Exit code 0 once the job runs."""
    try:
        job_id = run(parse(sys.stdin.buffer.read()), SystemClock())
    except SagestreamError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps({"job_id": job_id}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
