"""A pid is ours only together with its start time."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from infra.clock import SystemClock
from infra.local.paths import Paths
from infra.local.processes import ProcessSpec, ProcessTable, Record

SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(60)"
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\ntime.sleep(60)"
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(tmp_path)
    found.run.mkdir()
    return found


@pytest.fixture
def table(paths: Paths) -> Iterator[ProcessTable]:
    table = ProcessTable(paths)
    yield table
    table.stop(list(table.names()), SystemClock())


def spec(paths: Paths, program: str = SLEEPER, stop_within_s: float = 5.0) -> ProcessSpec:
    return ProcessSpec(
        name="sleeper",
        argv=(sys.executable, "-c", program),
        env={"PATH": os.environ["PATH"]},
        cwd=paths.home,
        stop_within_s=stop_within_s,
    )


def wait_until_up(paths: Paths) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + 10
    while "up" not in paths.log("sleeper").read_text():
        assert clock.monotonic() < deadline
        clock.sleep(0.01)


def test_a_started_process_is_found_again_by_a_new_table(table: ProcessTable, paths: Paths) -> None:
    record = table.start(spec(paths))

    found = ProcessTable(paths).alive("sleeper")

    assert found is not None
    assert found.pid == record.pid


def test_a_recycled_pid_is_not_mistaken_for_the_process() -> None:
    ourselves = psutil.Process()
    record = Record("part", ourselves.pid, ourselves.create_time())

    assert record.process() is not None
    assert replace(record, create_time=record.create_time - 60).process() is None


def test_a_process_that_ended_is_not_alive(table: ProcessTable, paths: Paths) -> None:
    record = table.start(spec(paths))

    os.kill(record.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(record.pid)], timeout=5)

    assert table.alive("sleeper") is None


def test_stop_ends_the_process_and_forgets_it(table: ProcessTable, paths: Paths) -> None:
    record = table.start(spec(paths))
    wait_until_up(paths)

    assert table.stop(["sleeper"], SystemClock()) == ["sleeper"]

    assert not psutil.pid_exists(record.pid)
    assert table.read("sleeper") is None


def test_a_process_that_ignores_the_request_is_killed(table: ProcessTable, paths: Paths) -> None:
    record = table.start(spec(paths, STUBBORN, stop_within_s=0.2))
    wait_until_up(paths)

    table.stop(["sleeper"], SystemClock())

    assert not psutil.pid_exists(record.pid)


def test_stop_spares_a_stranger_who_got_the_pid(table: ProcessTable, paths: Paths) -> None:
    record = table.start(spec(paths))
    stale = replace(record, name="stale", create_time=record.create_time - 60)
    (paths.run / "stale.json").write_text(
        (paths.run / "sleeper.json")
        .read_text()
        .replace(str(record.create_time), str(stale.create_time))
        .replace("sleeper", "stale")
    )

    assert table.stop(["stale"], SystemClock()) == []

    assert table.alive("sleeper") is not None


def test_a_process_started_by_an_interrupted_up_is_adopted(
    table: ProcessTable, paths: Paths
) -> None:
    record = table.start(spec(paths))
    (paths.run / "sleeper.json").unlink()

    adopted = table.adopt(spec(paths))

    assert adopted is not None
    assert adopted.pid == record.pid


def test_an_unreadable_record_counts_as_none(table: ProcessTable, paths: Paths) -> None:
    (paths.run / "sleeper.json").write_text("{half")

    assert table.read("sleeper") is None
