"""Events acknowledged by Kafka through the gateway, 1 and 100 a POST, against the usual stack.

Blocks alternate ours, peer, peer, ours, … so that a machine that drifts hurts both alike. Every
event that a generator sent must be in the log afterwards, on both sides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from importlib.metadata import version
from statistics import median
from typing import Any

import psutil

from bench.components import running
from bench.ingest.ours import KEY
from bench.results import Comparison, paired_ratio
from infra.kafka.admin import KafkaAdmin
from infra.topics import LEARNING_EVENTS

PAIRS = 4
WARM_S = 2.0
RUN_S = 6.0
# Enough that neither side waits for requests; the same for both.
CONNECTIONS = {1: 256, 100: 64}
GOALS = {1: 4.0, 100: 4.0}
FLOOR_EVENTS_PER_S = 50_000
PEER_PATHS = {1: "/v1/event", 100: "/v1/events"}
OURS_PORT, PEER_PORT = 22_401, 22_402


@dataclass(frozen=True, slots=True)
class Side:
    """A server under load."""

    process: psutil.Process
    port: int
    path: str = "/v1/events"


@dataclass(frozen=True, slots=True)
class Block:
    """One measured stretch of one side."""

    events_per_s: float
    cpu_s_per_million: float
    generator_cpu_share: float
    latency_ms: dict[str, float]


def run() -> list[dict[str, Any]]:
    with (
        running(["kafka", "topics"]) as settings,
        server("bench.ingest.ours", settings.kafka_bootstrap, OURS_PORT) as ours,
        server("bench.ingest.peer_fastapi", settings.kafka_bootstrap, PEER_PORT) as peer,
    ):
        admin = KafkaAdmin(settings.kafka_bootstrap)
        many = compare(100, Side(ours, OURS_PORT), Side(peer, PEER_PORT, PEER_PATHS[100]), admin)
        one = compare(1, Side(ours, OURS_PORT), Side(peer, PEER_PORT, PEER_PATHS[1]), admin)
        return [many, against_floor(many), one]


def against_floor(compared: dict[str, Any]) -> dict[str, Any]:
    """Our own rate of the same blocks against the rate that was promised."""
    return Comparison(
        id="ingest-100.vs.floor",
        unit=compared["unit"],
        ours=compared["ours"],
        peer=FLOOR_EVENTS_PER_S,
        peer_name="the promised rate on two processors, broker and generator beside it",
        ratio=round(compared["ours"] / FLOOR_EVENTS_PER_S, 2),
        goal=1.0,
    ).as_json()


def compare(events_per_post: int, ours: Side, peer: Side, admin: KafkaAdmin) -> dict[str, Any]:
    ours_blocks: list[Block] = []
    peer_blocks: list[Block] = []
    for pair in range(PAIRS):
        sides = [(ours, ours_blocks), (peer, peer_blocks)]
        for side, blocks in sides if pair % 2 == 0 else reversed(sides):
            blocks.append(measure(side, events_per_post, admin, seed=pair))
            print(
                f"  ingest-{events_per_post} {'ours' if blocks is ours_blocks else 'peer'}:"
                f" {blocks[-1].events_per_s:,.0f} events/s",
                file=sys.stderr,
            )
    return Comparison(
        id=f"ingest-{events_per_post}.vs.fastapi",
        unit="events/s acknowledged by Kafka",
        ours=median(block.events_per_s for block in ours_blocks),
        peer=median(block.events_per_s for block in peer_blocks),
        peer_name=(
            f"FastAPI {version('fastapi')} + uvicorn {version('uvicorn')}"
            f" + aiokafka {version('aiokafka')}"
        ),
        ratio=paired_ratio(
            [block.events_per_s for block in ours_blocks],
            [block.events_per_s for block in peer_blocks],
        ),
        goal=GOALS[events_per_post],
        details={
            "cpu_s_per_million": {
                "ours": median(block.cpu_s_per_million for block in ours_blocks),
                "peer": median(block.cpu_s_per_million for block in peer_blocks),
            },
            "latency_ms_closed_loop": {
                "ours": ours_blocks[-1].latency_ms,
                "peer": peer_blocks[-1].latency_ms,
            },
            "generator_cpu_share": max(
                block.generator_cpu_share for block in ours_blocks + peer_blocks
            ),
            "pairs": PAIRS,
            "delivered": "every event sent was counted in the log on both sides",
        },
    ).as_json()


def measure(side: Side, events_per_post: int, admin: KafkaAdmin, seed: int) -> Block:
    """One block; raises AssertionError when an event is missing in the log."""
    before = events_in_log(admin)
    cpu_before = cpu_s(side.process)
    spec = {
        "host": "127.0.0.1",
        "port": side.port,
        "path": side.path,
        "headers": {"Authorization": f"Bearer {KEY}"},
        "connections": CONNECTIONS[events_per_post],
        "warm_s": WARM_S,
        "run_s": RUN_S,
        "events_per_post": events_per_post,
        "seed": seed,
    }
    outcome = json.loads(
        subprocess.run(
            [sys.executable, "-m", "bench.ingest.generator"],
            input=json.dumps(spec).encode(),
            stdout=subprocess.PIPE,
            check=True,
            timeout=120,
        ).stdout
    )
    assert set(outcome["statuses"]) == {"200"}, outcome["first_failure"]
    sent = outcome["events_sent_ever"]
    delivered = events_in_log(admin) - before
    assert delivered == sent, f"{sent} events were sent, {delivered} are in the log"
    return Block(
        events_per_s=outcome["events"] / outcome["run_s"],
        cpu_s_per_million=round((cpu_s(side.process) - cpu_before) / sent * 1e6, 2),
        generator_cpu_share=round(outcome["cpu_s"] / outcome["run_s"], 2),
        latency_ms=outcome["latency_ms"],
    )


def events_in_log(admin: KafkaAdmin) -> int:
    return sum(admin.end_offsets([LEARNING_EVENTS]).values())


def cpu_s(process: psutil.Process) -> float:
    """User and system seconds of a process and its children."""
    tree = [process, *process.children(recursive=True)]
    return sum(sum(member.cpu_times()[:2]) for member in tree)


@contextmanager
def server(module: str, bootstrap: str, port: int) -> Iterator[psutil.Process]:
    child = subprocess.Popen(
        [sys.executable, "-m", module, bootstrap, str(port)],
        env={**os.environ},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_listening(child, port)
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(20)


def wait_until_listening(child: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise RuntimeError(f"the server on port {port} ended with {child.returncode}")
        connection = HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/health")
            connection.getresponse()
        except OSError:
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
    raise RuntimeError(f"the server on port {port} did not listen within 30 s")
