"""Flink's configuration for one small machine."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from infra.settings import Settings

# Every memory part is given by hand: Flink's start scripts would start a JVM to compute them.
_TASK_HEAP_MB = 448
_FRAMEWORK_HEAP_MB = 128
_FRAMEWORK_OFF_HEAP_MB = 128
_TASK_OFF_HEAP_MB = 64
_NETWORK_MB = 96
_MANAGED_MB = 384
_METASPACE_MB = 256
_OVERHEAD_MB = 192

_COMMON_JAVA = ("-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")
JOB_MANAGER_JAVA = (
    "-Xms64m",
    "-Xmx384m",
    f"-XX:MaxMetaspaceSize={_METASPACE_MB}m",
    "-XX:MaxDirectMemorySize=128m",
    "-XX:+UseSerialGC",
    # The job manager runs little code often: the quick compiler is enough and starts sooner.
    "-XX:TieredStopAtLevel=1",
    *_COMMON_JAVA,
)
TASK_MANAGER_JAVA = (
    "-Xms128m",
    f"-Xmx{_TASK_HEAP_MB + _FRAMEWORK_HEAP_MB}m",
    f"-XX:MaxMetaspaceSize={_METASPACE_MB}m",
    f"-XX:MaxDirectMemorySize={_FRAMEWORK_OFF_HEAP_MB + _TASK_OFF_HEAP_MB + _NETWORK_MB}m",
    "-XX:+UseG1GC",
    *_COMMON_JAVA,
)
# Lives for seconds while the job is planned and handed over.
SUBMIT_JAVA = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

_LOG4J = """\
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1} %m%n
logger.cluster.name = org.apache.flink.runtime.entrypoint
logger.cluster.level = INFO
logger.jobs.name = org.apache.flink.runtime.executiongraph.ExecutionGraph
logger.jobs.level = INFO
logger.restore.name = org.apache.flink.runtime.checkpoint.CheckpointCoordinator
logger.restore.level = INFO
"""


def write(folder: Path, settings: Settings, python: Path) -> None:
    """Write `conf/config.yaml` and `conf/log4j.properties` under Flink's folder."""
    text = "".join(f"{key}: {value}\n" for key, value in values(folder, settings, python).items())
    _replace(folder / "conf" / "config.yaml", text)
    _replace(folder / "conf" / "log4j.properties", _LOG4J)


def _replace(path: Path, text: str) -> None:
    """In one step: the other manager may be reading it."""
    unfinished = path.with_name(f"{path.name}.{threading.get_ident()}")
    unfinished.write_text(text)
    unfinished.replace(path)


def values(folder: Path, settings: Settings, python: Path) -> dict[str, object]:
    """Flink's options as flat keys."""
    return {
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": settings.flink_rpc_port,
        "jobmanager.bind-host": "127.0.0.1",
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": settings.flink_rest_port,
        "taskmanager.host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.resource-id": "local",
        "taskmanager.numberOfTaskSlots": settings.flink_parallelism,
        **_memory(),
        "parallelism.default": settings.flink_parallelism,
        "state.backend.type": "hashmap",
        "execution.checkpointing.dir": f"file://{folder / 'checkpoints'}",
        "execution.checkpointing.interval": f"{settings.flink_checkpoint_interval_ms}ms",
        "execution.checkpointing.num-retained": 2,
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1s",
        "restart-strategy.exponential-delay.max-backoff": "30s",
        # A dead task manager is noticed within seconds, and its slots waited for.
        "cluster.registration.error-delay": 500,
        "heartbeat.interval": 2000,
        "heartbeat.timeout": 10000,
        "slot.request.timeout": 120000,
        "python.executable": python,
        "python.client.executable": python,
    }


def _memory() -> dict[str, object]:
    return {
        "jobmanager.memory.process.size": "1024m",
        "taskmanager.cpu.cores": 2.0,
        "taskmanager.memory.framework.heap.size": f"{_FRAMEWORK_HEAP_MB}m",
        "taskmanager.memory.framework.off-heap.size": f"{_FRAMEWORK_OFF_HEAP_MB}m",
        "taskmanager.memory.task.heap.size": f"{_TASK_HEAP_MB}m",
        "taskmanager.memory.task.off-heap.size": f"{_TASK_OFF_HEAP_MB}m",
        "taskmanager.memory.network.min": f"{_NETWORK_MB}m",
        "taskmanager.memory.network.max": f"{_NETWORK_MB}m",
        "taskmanager.memory.managed.size": f"{_MANAGED_MB}m",
        "taskmanager.memory.jvm-metaspace.size": f"{_METASPACE_MB}m",
        "taskmanager.memory.jvm-overhead.min": f"{_OVERHEAD_MB}m",
        "taskmanager.memory.jvm-overhead.max": f"{_OVERHEAD_MB}m",
    }


def module_options(distribution: Path) -> tuple[str, ...]:
    """The --add-opens and --add-exports that this Flink version asks for, from its own file."""
    text = (distribution / "conf" / "config.yaml").read_text()
    return tuple(re.findall(r"--add-(?:opens|exports)=\S+", text))
