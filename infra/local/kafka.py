"""One Kafka broker in KRaft mode, and the topics."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from pathlib import Path

from infra.errors import RetryLater
from infra.kafka.admin import KafkaAdmin
from infra.local import artifacts, class_archive, ports, tool
from infra.local.parts import Part
from infra.local.processes import Listener, ProcessSpec
from infra.topics import ALL_TOPICS

_HEAP = ("-Xms128m", "-Xmx512m", "-XX:MaxMetaspaceSize=192m", "-XX:+UseG1GC")
_FORMAT_TIMEOUT_S = 180

_LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.start.name = kafka.server.KafkaRaftServer
logger.start.level = info
"""


class Jars(Part):
    """The jars of Kafka and of Flink's Kafka connector."""

    name = "jars"
    ready_within_s = 900
    shown = False

    def trouble(self) -> str | None:
        absent = artifacts.missing(artifacts.all_jars(), self.context.jars)
        return f"{len(absent)} jars are not downloaded yet" if absent else None

    def advance(self) -> str | None:
        artifacts.ensure(
            artifacts.all_jars(),
            self.context.jars,
            repository=self.settings.maven_repository,
            progress=self.context.progress,
            clock=self.context.clock,
        )
        return self.trouble()


class Kafka(Part):
    """Broker and controller in one process."""

    name = "kafka"
    needs = ("jars",)

    def address(self) -> str:
        return f"127.0.0.1:{self.settings.kafka_port}"

    def processes(self) -> Sequence[ProcessSpec]:
        archives = self.context.class_archives
        java = self.context.find_java()
        archive = class_archive.options(archives, self.name, java, self._classpath)
        return (
            ProcessSpec(
                name=self.name,
                argv=(*self._java(*_HEAP, *archive), "kafka.Kafka", str(self._properties)),
                env=self.context.plain_environment(),
                cwd=self.folder.parent,
                listeners=(
                    Listener(self.settings.kafka_port, "kafka_port"),
                    Listener(self.settings.kafka_controller_port, "kafka_controller_port"),
                ),
                stop_within_s=60,
            ),
        )

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        class_archive.tidy(self.context.class_archives, self.name)
        self._properties.write_text(self._properties_text())
        self._log4j.write_text(_LOG4J)
        if not (self.folder / "data" / "meta.properties").exists():
            self._format()

    def trouble(self) -> str | None:
        if not ports.accepts(Listener(self.settings.kafka_port, "kafka_port")):
            return f"nothing answers on {self.address()} yet"
        try:
            KafkaAdmin(self.address()).topic_partitions()
        except RetryLater as error:
            return error.message
        return None

    def _format(self) -> None:
        """Give the empty log folder its cluster id. A broken attempt is simply done again."""
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        java = self._java("-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
        command = ("kafka.tools.StorageTool", "format", "--ignore-formatted")
        options = ("--cluster-id", cluster_id, "--config", str(self._properties))
        tool.run(
            "Formatting Kafka's log folder",
            (*java, *command, *options),
            env=self.context.plain_environment(),
            cwd=self.folder,
            log=self.context.paths.log("kafka-format"),
            timeout_s=_FORMAT_TIMEOUT_S,
        )

    def _java(self, *options: str) -> tuple[str, ...]:
        return (
            str(self.context.find_java().executable),
            *options,
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={self._log4j}",
            "-cp",
            ":".join(map(str, self._classpath)),
        )

    def _properties_text(self) -> str:
        settings = self.settings
        values = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{settings.kafka_controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{settings.kafka_port},"
            f"CONTROLLER://127.0.0.1:{settings.kafka_controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{settings.kafka_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self.folder / "data",
            # A topic exists because infra.topics says so, never because somebody mistyped it.
            "auto.create.topics.enable": "false",
            # A killed broker is let back in when its old session has run out.
            "broker.session.timeout.ms": 5000,
            "broker.heartbeat.interval.ms": 1000,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "num.recovery.threads.per.data.dir": 2,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "log.segment.bytes": 256 * 1024 * 1024,
            # One dedupe buffer of the usual 128 MB would be a quarter of this heap.
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
            "message.max.bytes": 4_194_304,
            "controlled.shutdown.enable": "true",
        }
        return "".join(f"{key}={value}\n" for key, value in values.items())

    @property
    def _classpath(self) -> list[Path]:
        return artifacts.classpath("kafka", self.context.jars)

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _log4j(self) -> Path:
        return self.folder / "log4j2.properties"


class Topics(Part):
    """Every topic of infra.topics exists."""

    name = "topics"
    needs = ("kafka",)
    shown = False

    def trouble(self) -> str | None:
        try:
            existing = KafkaAdmin(self.settings.kafka_bootstrap).topic_partitions()
        except RetryLater as error:
            return error.message
        absent = [topic.name for topic in ALL_TOPICS if topic.name not in existing]
        return f"missing topics: {', '.join(absent)}" if absent else None

    def advance(self) -> str | None:
        try:
            KafkaAdmin(self.settings.kafka_bootstrap).create_missing(
                ALL_TOPICS,
                replication_factor=self.settings.kafka_replication_factor,
                min_insync_replicas=self.settings.kafka_min_insync_replicas,
            )
        except RetryLater as error:
            return error.message
        return self.trouble()
