"""Start detached processes, remember them, and stop exactly those.

A pid alone proves nothing: the system hands it out again. A record therefore also holds the
process's start time, and a process counts as ours only when both agree.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from infra.clock import Clock
from infra.local.logs import rotate
from infra.local.paths import Paths
from infra.local.unprivileged import group_id

# The system clock may be stepped under a running process, which moves its reported start time.
_START_TIME_TOLERANCE_S = 2.0
PART_VARIABLE = "SAGESTREAM_PART"
HOME_VARIABLE = "SAGESTREAM_HOME"


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP port of a process and the setting that moves it."""

    port: int
    setting: str
    host: str = "127.0.0.1"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How to start and stop one process."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    listeners: tuple[Listener, ...] = ()
    user_id: int | None = None  # run as this user; None = as we are
    stop_signal: int = signal.SIGTERM
    stop_within_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of a started process; lies in `<home>/run/<name>.json`."""

    name: str
    pid: int
    create_time: float
    listeners: list[str] = field(default_factory=list)
    stop_signal: int = signal.SIGTERM
    stop_within_s: float = 20.0

    def process(self) -> psutil.Process | None:
        """The living process, or None when it ended or its pid belongs to someone else now."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.create_time) <= _START_TIME_TOLERANCE_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


class ProcessTable:
    """The records of one data folder."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def read(self, name: str) -> Record | None:
        try:
            return Record(**json.loads(self._file(name).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def alive(self, name: str) -> psutil.Process | None:
        record = self.read(name)
        return record.process() if record else None

    def start(self, spec: ProcessSpec) -> Record:
        """Spawn in a session of its own, output appended to its log, and remember it."""
        log = self._paths.log(spec.name)
        rotate(log)
        marks = {PART_VARIABLE: spec.name, HOME_VARIABLE: str(self._paths.home)}
        with log.open("ab") as output:
            started = subprocess.Popen(
                spec.argv,
                env={**spec.env, **marks},
                cwd=spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=spec.user_id,
                group=group_id(spec.user_id),
                extra_groups=[] if spec.user_id is not None else None,
            )
        return self._remember(spec, psutil.Process(started.pid))

    def adopt(self, spec: ProcessSpec) -> Record | None:
        """Find a process that an interrupted `up` started without remembering it."""
        for process in psutil.process_iter():
            try:
                marks = process.environ()
                ours = (marks.get(PART_VARIABLE), marks.get(HOME_VARIABLE)) == (
                    spec.name,
                    str(self._paths.home),
                )
                # A worker inherits its parent's marks: the one leading the session is the part.
                if ours and os.getsid(process.pid) == process.pid:
                    return self._remember(spec, process)
            except (psutil.Error, OSError):
                continue
        return None

    def stop(self, names: Sequence[str], clock: Clock) -> list[str]:
        """Ask all to end, wait, then kill, children included; returns those that ran."""
        records = [record for name in names if (record := self.read(name))]
        running = {record.name: process for record in records if (process := record.process())}
        families = [m for process in running.values() for m in (process, *_children(process))]
        for record in records:
            if record.name in running:
                _signal(running[record.name], record.stop_signal)
            else:
                self.kill_leftovers(record)
        began = clock.monotonic()
        for record in records:
            deadline = began + record.stop_within_s
            while record.process() is not None and clock.monotonic() < deadline:
                clock.sleep(0.05)
        for member in families:
            _signal(member, signal.SIGKILL)
        psutil.wait_procs(families, timeout=5)
        for record in records:
            self._file(record.name).unlink(missing_ok=True)
        return list(running)

    def kill_leftovers(self, record: Record) -> None:
        """Kill workers that outlived a crashed leader: members of the session it led."""
        if psutil.pid_exists(record.pid):
            return  # the number is in use again, so a session of that number may be a stranger's
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == record.pid:
                    process.kill()
            except (psutil.Error, OSError):
                continue

    def names(self) -> Iterator[str]:
        """Every process with a record, running or not."""
        for file in sorted(self._paths.run.glob("*.json")):
            yield file.stem

    def _remember(self, spec: ProcessSpec, process: psutil.Process) -> Record:
        record = Record(
            spec.name,
            process.pid,
            process.create_time(),
            [listener.address for listener in spec.listeners],
            int(spec.stop_signal),
            spec.stop_within_s,
        )
        file = self._file(spec.name)
        unfinished = file.with_suffix(".new")
        unfinished.write_text(json.dumps(asdict(record)))
        unfinished.replace(file)
        return record

    def _file(self, name: str) -> Path:
        return self._paths.run / f"{name}.json"


def memory_bytes(process: psutil.Process) -> int:
    """Memory of a process and its children: proportional set size, or resident where unknown."""
    total = 0
    for member in [process, *_children(process)]:
        try:
            info = member.memory_full_info()
            total += getattr(info, "pss", 0) or info.rss
        except psutil.Error:
            continue
    return total


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return  # already gone, which is what was wanted
