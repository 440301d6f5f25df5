"""Events a second through the windows, from Kafka to Kafka, against PyFlink's DataStream API.

The log lies in the topic before a job starts. A block lasts from the moment when every task of
the job runs to the moment when the last expected window is in the output topic; start-up is told
beside it. Blocks alternate ours, peer, peer, ours. Each side must have delivered every window of
its log, equal to the slow oracle's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import psutil

from bench.components import running
from bench.results import Comparison, paired_ratio
from bench.windows import log as event_log
from infra.clock import SystemClock
from infra.kafka.admin import KafkaAdmin
from infra.local.flink import flink_python
from infra.local.paths import Paths, source_root
from infra.settings import Settings
from infra.topics import LEARNING_EVENTS, SESSION_WINDOWS, Topic
from ingestion.events.event import Event
from storage.postgres.pool import connect
from stream_jobs.flink_runtime.cluster import Cluster
from stream_jobs.patterns.window import window_start
from tests.support.naive_patterns import naive_results
from tests.support.window_topic import Found, WindowTopic

PAIRS = 2
EVENTS_OURS = 600_000
EVENTS_PEER = 60_000
EVENTS_WARM = 20_000
GOAL_RATIO = 8.0
FLOOR_EVENTS_PER_S = 50_000
BLOCK_TIMEOUT_S = 900.0
PATTERN_WRITER = "pattern-writer"
PEER_NAME = "PyFlink DataStream AggregateFunction, process mode"
_UNIT = "events/s from Kafka to closed windows in Kafka"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A log in its topic, and what must come out of it."""

    topic: Topic
    records: int
    expected: Found


@dataclass(frozen=True, slots=True)
class Block:
    """One measured run of one side."""

    events_per_s: float
    cpu_s_per_million: float
    startup_s: float
    # Until the pattern writer had everything in its store; 0 where it did not run.
    events_per_s_to_updates: float = 0.0


def run() -> list[dict[str, Any]]:
    with running(["flink-taskmanager", "topics", PATTERN_WRITER]) as settings:
        bench = Bench(settings)
        # The log and its last heartbeat end before now: brokers refuse times far ahead.
        start_ms = window_start(SystemClock().now_ms()) - 4 * 3_600_000
        whole = event_log.make(EVENTS_OURS, start_ms=start_ms)
        part = event_log.make(EVENTS_PEER, start_ms=start_ms)
        warm = bench.prepare("bench-events-warm", part[:EVENTS_WARM])
        for side in (bench.ours, bench.peer):
            side(warm, _output("bench-warm"))
        prepared = {
            "ours": bench.prepare("bench-events-ours", whole),
            "peer": bench.prepare("bench-events-peer", part),
        }
        sides: dict[str, Callable[[Prepared, Topic], Block]]
        sides = {"ours": bench.ours, "peer": bench.peer}
        blocks: dict[str, list[Block]] = {"ours": [], "peer": []}
        for pair in range(PAIRS):
            names = ["ours", "peer"] if pair % 2 == 0 else ["peer", "ours"]
            for name in names:
                # The first of ours goes to the real topic, where the pattern writer reads.
                real = name == "ours" and not blocks[name]
                output = SESSION_WINDOWS if real else _output(f"bench-{name}-{pair}")
                block = sides[name](prepared[name], output)
                blocks[name].append(block)
                print(f"  windows {name}: {block.events_per_s:,.0f} events/s", file=sys.stderr)
        return _comparisons(blocks["ours"], blocks["peer"])


def _comparisons(ours: Sequence[Block], peer: Sequence[Block]) -> list[dict[str, Any]]:
    rate = median(block.events_per_s for block in ours)
    peer_rate = median(block.events_per_s for block in peer)
    to_updates = ours[0].events_per_s_to_updates
    details = {
        "events": {"ours": EVENTS_OURS, "peer": EVENTS_PEER},
        "cpu_s_per_million": {
            "ours": median(block.cpu_s_per_million for block in ours),
            "peer": median(block.cpu_s_per_million for block in peer),
        },
        "startup_s": {
            "ours": [block.startup_s for block in ours],
            "peer": [block.startup_s for block in peer],
        },
    }
    ratio = paired_ratio([b.events_per_s for b in ours], [b.events_per_s for b in peer])
    return [
        Comparison(
            "windows.vs.datastream", _UNIT, rate, peer_rate, PEER_NAME, ratio, GOAL_RATIO, details
        ).as_json(),
        Comparison(
            "windows.vs.floor",
            _UNIT,
            rate,
            FLOOR_EVENTS_PER_S,
            "the promised rate on two processors, broker beside it",
            round(rate / FLOOR_EVENTS_PER_S, 2),
            1.0,
        ).as_json(),
        Comparison(
            "windows-to-updates.vs.datastream",
            "events/s from Kafka to the pattern store and its outbox",
            to_updates,
            peer_rate,
            f"{PEER_NAME} (its closed windows only: it has no pattern store)",
            round(to_updates / peer_rate, 2),
            GOAL_RATIO,
        ).as_json(),
    ]


class Bench:
    """Kafka and a Flink cluster, and the two jobs on them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = KafkaAdmin(settings.kafka_bootstrap)
        self._cluster = Cluster(settings.flink_url, SystemClock())
        self._python = str(flink_python(settings))

    def prepare(self, name: str, log: Sequence[Event]) -> Prepared:
        """Put the log into a topic of its own."""
        topic = Topic(name, LEARNING_EVENTS.partitions, -1, "snappy", "a log to measure with")
        self._create(topic)
        records = event_log.fill(self._settings.kafka_bootstrap, topic, log)
        return Prepared(topic, records, naive_results(log))

    def ours(self, prepared: Prepared, output: Topic) -> Block:
        request = {
            "rest_url": self._settings.flink_url,
            "source_root": str(source_root()),
            "python_executable": self._python,
            "parallelism": self._settings.flink_parallelism,
            "checkpoint_interval_ms": self._settings.flink_checkpoint_interval_ms,
            "checkpoint_dir": self._checkpoints(),
            "job_name": f"bench-{output.name}",
        }
        return self._measure("stream_jobs.flink_runtime.submit", request, prepared, output)

    def peer(self, prepared: Prepared, output: Topic) -> Block:
        cluster = {
            "execution.target": "remote",
            "rest.address": "127.0.0.1",
            "rest.port": self._settings.flink_rest_port,
            "parallelism.default": self._settings.flink_parallelism,
            "execution.checkpointing.interval": (
                f"{self._settings.flink_checkpoint_interval_ms} ms"
            ),
            "execution.checkpointing.dir": self._checkpoints(),
            "python.executable": self._python,
        }
        return self._measure(
            "bench.windows.peer_datastream", {"cluster": cluster}, prepared, output
        )

    def _measure(
        self, module: str, request: dict[str, Any], prepared: Prepared, output: Topic
    ) -> Block:
        self._create(output)
        request |= {
            "kafka_bootstrap": self._settings.kafka_bootstrap,
            "events_topic": prepared.topic.name,
            "windows_topic": output.name,
        }
        submitted_s = time.monotonic()
        cpu_before_s = self._task_manager_cpu_s()
        job_id = self._submit(module, request)
        try:
            self._cluster.wait_until_running(job_id, BLOCK_TIMEOUT_S)
            began_s = time.monotonic()
            self._wait(lambda: self._written(output) >= len(prepared.expected))
            took_s = time.monotonic() - began_s
            cpu_s = self._task_manager_cpu_s() - cpu_before_s
            updates_s = 0.0
            if output == SESSION_WINDOWS:
                self._wait(lambda: self._updates_are_out(output))
                updates_s = time.monotonic() - began_s
            self._check(prepared, output)
        finally:
            self._cluster.cancel(job_id)
            self._wait(self._is_free)
        return Block(
            round(prepared.records / took_s),
            round(cpu_s / prepared.records * 1e6, 1),
            round(began_s - submitted_s, 1),
            round(prepared.records / updates_s) if updates_s else 0.0,
        )

    def _submit(self, module: str, request: dict[str, Any]) -> str:
        flink = Paths(self._settings.home).data("flink")
        outcome = subprocess.run(
            [self._python, "-m", module],
            input=json.dumps(request),
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(source_root()),
                "FLINK_CONF_DIR": str(flink / "conf"),
                "FLINK_LIB_DIR": str(flink / "lib"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if outcome.returncode != 0:
            raise RuntimeError(f"{module} could not be submitted: {outcome.stderr[-2000:]}")
        return str(json.loads(outcome.stdout.splitlines()[-1])["job_id"])

    def _check(self, prepared: Prepared, output: Topic) -> None:
        """Every window there, and equal to the oracle's."""
        topic = WindowTopic(self._settings.kafka_bootstrap, output.name, keyed=False)
        try:
            found = topic.found()
        finally:
            topic.close()
        wrong = [w for w in prepared.expected if found.get(w) != prepared.expected[w]]
        if wrong or len(found) != len(prepared.expected):
            raise RuntimeError(
                f"{output.name}: {len(wrong)} of {len(prepared.expected)} windows differ from the"
                f" oracle's, {len(found)} were found; the first is {wrong[:1]}"
            )

    def _updates_are_out(self, output: Topic) -> bool:
        ends = self._admin.end_offsets([output])
        at = self._admin.group_offsets(PATTERN_WRITER)
        if any(at.get(partition, 0) < end for partition, end in ends.items()):
            return False
        with connect(self._settings.postgres_dsn, name="bench") as connection:
            row = connection.execute("SELECT count(*) FROM outbox").fetchone()
        return row == (0,)

    def _written(self, output: Topic) -> int:
        return sum(self._admin.end_offsets([output]).values())

    def _wait(self, reached: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + BLOCK_TIMEOUT_S
        while not reached():
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"not reached within {BLOCK_TIMEOUT_S:.0f} s")
            time.sleep(0.05)

    def _is_free(self) -> bool:
        with urllib.request.urlopen(f"{self._settings.flink_url}/overview", timeout=10) as answer:
            overview = json.load(answer)
        return bool(overview["slots-available"] == overview["slots-total"])

    def _create(self, topic: Topic) -> None:
        self._admin.create_missing([topic], replication_factor=1, min_insync_replicas=1)

    def _checkpoints(self) -> str:
        return (Paths(self._settings.home).data("flink") / "bench-checkpoints").as_uri()

    def _task_manager_cpu_s(self) -> float:
        record = self._settings.home / "run" / "flink-taskmanager.json"
        process = psutil.Process(json.loads(record.read_text())["pid"])
        spent_s = 0.0
        for part in (process, *process.children(recursive=True)):
            try:
                times = part.cpu_times()
            except psutil.NoSuchProcess:
                continue
            spent_s += times.user + times.system + times.children_user + times.children_system
        return spent_s


def _output(name: str) -> Topic:
    return Topic(name, SESSION_WINDOWS.partitions, -1, "snappy", "results of one block")
