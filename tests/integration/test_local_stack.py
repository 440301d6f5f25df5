"""The local platform's own life: start, start again, crash, recover, stop.

Uses the stores and engines only, so that a failure here is never a product's failure.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from confluent_kafka import Consumer, Producer

from infra import settings as settings_module
from tests.support.platform import COMMAND, ROOT, Platform

pytestmark = pytest.mark.integration

PARTS = "kafka,topics,postgres,valkey"
PORT_BASES = range(24000, 28000, 200)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Kafka, PostgreSQL and the Redis Cluster in a folder of their own."""
    home = tmp_path_factory.mktemp("stack")
    platform = Platform(home, {"SAGESTREAM_PORT_BASE": str(free_port_base())})
    try:
        platform.command("up", "--only", PARTS, "--json")
        platform.settings = settings_module.load(home=home)
        yield platform
    finally:
        platform.down()


def free_port_base() -> int:
    """A base whose usual ports nobody uses."""
    for base in PORT_BASES:
        offsets = settings_module.PORT_OFFSETS.values()
        if all(is_free(base + offset) for offset in offsets):
            return base
    raise AssertionError("no free range of ports")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def up(stack: Platform) -> list[str]:
    """Parts that this `up` had to start."""
    answer = json.loads(stack.command("up", "--only", PARTS, "--json"))
    return sorted(answer["started"])


def states(stack: Platform) -> dict[str, str]:
    answer = json.loads(stack.command("status", "--json", check=False))
    return {part["part"]: part["state"] for part in answer["parts"]}


def pids(stack: Platform) -> dict[str, int]:
    return {
        file.stem: json.loads(file.read_text())["pid"]
        for file in (stack.home / "run").glob("*.json")
    }


def test_status_tells_what_runs(stack: Platform) -> None:
    found = states(stack)

    assert {found[part] for part in ("kafka", "postgres", "valkey")} == {"running"}
    assert found["gateway"] == "stopped"


def test_a_second_up_starts_nothing(stack: Platform) -> None:
    before = pids(stack)

    assert up(stack) == []

    assert pids(stack) == before


def test_a_killed_broker_comes_back_with_its_records(stack: Platform) -> None:
    producer = Producer({"bootstrap.servers": stack.settings.kafka_bootstrap, "acks": "all"})
    producer.produce("learning-events.dlq", b"before the crash", partition=0)
    assert producer.flush(20) == 0

    stack.kill("kafka")
    assert states(stack)["kafka"] == "crashed"
    assert up(stack) == ["kafka"]

    consumer = Consumer(
        {
            "bootstrap.servers": stack.settings.kafka_bootstrap,
            "group.id": "test-local-stack",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(["learning-events.dlq"])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.value() == b"before the crash"


def test_a_killed_database_comes_back_with_its_rows(stack: Platform) -> None:
    with psycopg.connect(stack.settings.postgres_dsn) as connection:
        connection.execute("CREATE TABLE survivors (name text)")
        connection.execute("INSERT INTO survivors VALUES ('one')")

    stack.kill("postgres")
    assert up(stack) == ["postgres"]

    with psycopg.connect(stack.settings.postgres_dsn) as connection:
        assert connection.execute("SELECT name FROM survivors").fetchall() == [("one",)]
        version = connection.execute(
            "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
        ).fetchone()
        assert version is not None


def test_a_stale_postmaster_file_with_a_recycled_pid_does_not_stop_it(stack: Platform) -> None:
    data = stack.home / "postgres" / "data"
    stack.kill("postgres")
    stranger = next(p for p in psutil.process_iter() if p.name() != "postgres").pid
    lines = (data / "postmaster.pid").read_text().splitlines()
    (data / "postmaster.pid").write_text("\n".join([str(stranger), *lines[1:]]))

    assert up(stack) == ["postgres"]


def test_killed_cache_nodes_come_back_into_the_cluster(stack: Platform) -> None:
    stack.kill("valkey-0")
    stack.kill("valkey-4")

    assert up(stack) == ["valkey"]

    assert states(stack)["valkey"] == "running"


def test_everything_killed_at_once_comes_back(stack: Platform) -> None:
    for part in list(pids(stack)):
        stack.kill(part)

    assert set(up(stack)) >= {"kafka", "postgres", "valkey"}

    assert {states(stack)[part] for part in ("kafka", "postgres", "valkey")} == {"running"}


def test_two_ups_at_once_start_one_platform(stack: Platform) -> None:
    stack.kill("kafka")
    started: list[list[str]] = []
    threads = [threading.Thread(target=lambda: started.append(up(stack))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(started) == [[], ["kafka"]]


def test_a_busy_port_is_one_sentence_with_a_way_out(stack: Platform) -> None:
    settings = stack.settings
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", settings.flink_rest_port))
        stranger.listen()
        answer = json.loads(
            stack.command("up", "--only", "flink-jobmanager", "--json", check=False)
        )

    assert f"127.0.0.1:{settings.flink_rest_port}: the port is taken" in answer["error"]
    assert "SAGESTREAM_FLINK_REST_PORT" in answer["remedy"]


def test_other_ports_are_refused_while_it_runs(stack: Platform) -> None:
    outcome = command(stack, "up", "--json", SAGESTREAM_PORT_BASE="30000")

    assert outcome["exit_code"] == 4
    assert "sagestream down" in outcome["remedy"]


def test_down_stops_exactly_what_was_started(stack: Platform) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    ours = [psutil.Process(pid) for pid in pids(stack).values()]
    children = [child for process in ours for child in process.children(recursive=True)]
    try:
        stack.command("down", "--json")

        assert not any(process.is_running() for process in [*ours, *children])
        assert bystander.poll() is None
        assert pids(stack) == {}
    finally:
        bystander.kill()
        bystander.wait()


def test_after_down_the_data_is_still_there(stack: Platform) -> None:
    assert set(up(stack)) >= {"kafka", "postgres", "valkey"}

    with psycopg.connect(stack.settings.postgres_dsn) as connection:
        assert connection.execute("SELECT name FROM survivors").fetchall() == [("one",)]


def command(stack: Platform, *arguments: str, **environment: str) -> dict[str, Any]:
    """JSON answer of a command with more in its environment."""
    from os import environ

    answer = subprocess.run(
        [str(COMMAND), *arguments],
        env={**environ, "SAGESTREAM_HOME": str(stack.home), **environment},
        cwd=Path(ROOT),
        capture_output=True,
        text=True,
        check=False,
    )
    return dict(json.loads(answer.stdout))
