"""The platform as a whole: parts, ports, needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.clock import ManualClock
from infra.local import graph
from infra.local.catalogue import parts
from infra.local.errors import UnknownPart
from infra.local.flink_job import newest_checkpoint
from infra.local.java import Java
from infra.local.parts import Context, Part
from infra.local.paths import Paths
from infra.local.processes import ProcessTable
from infra.local.supervisor import Supervisor
from infra.settings import load

STORES_AND_ENGINES = {"kafka", "postgres", "valkey", "clickhouse", "flink-jobmanager"}


@pytest.fixture
def catalogue(tmp_path: Path) -> dict[str, Part]:
    settings = load(home=tmp_path, port_base=21000)
    paths = Paths(tmp_path)
    return parts(
        Context(
            settings=settings,
            paths=paths,
            clock=ManualClock(),
            table=ProcessTable(paths),
            environment={"PATH": "/usr/bin"},
            find_java=lambda: Java(Path("/usr/bin/java"), 17, "PATH"),
        )
    )


def needs(catalogue: dict[str, Part]) -> dict[str, tuple[str, ...]]:
    return {name: part.needs for name, part in catalogue.items()}


def test_the_parts_can_be_ordered(catalogue: dict[str, Part]) -> None:
    assert set(graph.order(needs(catalogue))) == set(catalogue)


def test_stores_and_engines_wait_for_nothing_but_jars(catalogue: dict[str, Part]) -> None:
    for name in STORES_AND_ENGINES:
        assert set(catalogue[name].needs) <= {"jars"}


def test_no_writer_starts_before_its_tables_and_topics(catalogue: dict[str, Part]) -> None:
    graph_needs = needs(catalogue)

    assert "migrate-clickhouse" in graph.closure(graph_needs, ["analytics-writer"])
    for name in ("event-writer", "pattern-writer", "late-repair"):
        assert {"topics", "migrate-postgres"} <= graph.closure(graph_needs, [name])


def test_one_dead_store_blocks_only_those_who_write_to_it(catalogue: dict[str, Part]) -> None:
    blocked_by_clickhouse = graph.closure(graph.reverse(needs(catalogue)), ["clickhouse"])

    assert blocked_by_clickhouse == {"clickhouse", "migrate-clickhouse", "analytics-writer"}


def test_no_two_listeners_share_a_port(catalogue: dict[str, Part]) -> None:
    taken = [
        listener.port
        for part in catalogue.values()
        if "flink" not in part.name
        for spec in part.processes()
        for listener in spec.listeners
    ]

    assert len(taken) == len(set(taken))
    assert all(21000 <= port < 21100 for port in taken)


def test_no_command_line_holds_a_secret(tmp_path: Path, catalogue: dict[str, Part]) -> None:
    secret = catalogue["postgres"].settings.postgres_password.get_secret_value() or "\0"

    for part in catalogue.values():
        if "flink" not in part.name:
            assert all(secret not in word for spec in part.processes() for word in spec.argv)


def test_an_unknown_part_is_refused_with_the_list(tmp_path: Path) -> None:
    supervisor = Supervisor(load(home=tmp_path), ManualClock(), reporter=None)  # type: ignore[arg-type]

    with pytest.raises(UnknownPart) as caught:
        supervisor.part("kafak")

    assert "kafka" in caught.value.remedy
    assert caught.value.exit_code == 2


def test_the_newest_complete_checkpoint_is_restored(tmp_path: Path) -> None:
    for name, completed_s in (("job-1/chk-9", 1000), ("job-2/chk-3", 2000)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "_metadata").write_text("")
        os.utime(tmp_path / name / "_metadata", (completed_s, completed_s))
    (tmp_path / "job-2" / "chk-4").mkdir()  # never completed

    assert newest_checkpoint(tmp_path) == tmp_path / "job-2" / "chk-3"


def test_without_a_checkpoint_the_job_starts_fresh(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
