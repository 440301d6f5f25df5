"""Start what is missing, tell what runs, stop what was started."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from infra.clock import Clock
from infra.errors import CannotRun, SagestreamError
from infra.local import graph, logs, ports, preflight, settings_file
from infra.local.catalogue import parts as all_parts
from infra.local.errors import PartFailed, UnknownPart
from infra.local.java import Java, find_java
from infra.local.parts import Context, Part
from infra.local.paths import Paths
from infra.local.processes import ProcessSpec, ProcessTable
from infra.local.status import Status, look, specs_or_none
from infra.settings import Settings, load, process_environment

_POLL_S = 0.1
ALREADY_RUNNING = "already running"
NOTHING_TO_DO = "nothing to do"


class Reporter(Protocol):
    """Told what happens; called from several threads."""

    def starting(self, part: str) -> None: ...

    def waiting(self, part: str, trouble: str) -> None: ...

    def downloading(self, part: str, done_bytes: int, total_bytes: int) -> None: ...

    def ready(self, part: str, seconds: float, note: str) -> None: ...

    def stopped(self, part: str, was_running: bool) -> None: ...

    def failed(self, part: str, error: Exception) -> None: ...


class Interrupted(SagestreamError):
    """Ctrl-C while parts were starting."""

    exit_code = 130


class Supervisor:
    """The local platform in one data folder."""

    def __init__(self, settings: Settings, clock: Clock, reporter: Reporter) -> None:
        self._clock = clock
        self._reporter = reporter
        self._interrupted = threading.Event()
        self._bind(settings)

    @property
    def settings(self) -> Settings:
        return self._context.settings

    @property
    def names(self) -> tuple[str, ...]:
        """Every part."""
        return tuple(self._parts)

    def up(self, only: Iterable[str] = ()) -> list[str]:
        """Start what is missing; returns the parts that were started, in order.

        Raises:
            SagestreamError: what could not be started, with everything else left running.
        """
        self._require_known(only)
        paths = self._context.paths
        preflight.make_folders(paths)
        preflight.require_space(paths, preflight.free_bytes(paths.home))
        with preflight.only_one(paths, self._clock):
            self._write_settings()
            needs = {name: part.needs for name, part in self._parts.items()}
            wanted = {name: p.needs + p.companions for name, p in self._parts.items()}
            chosen = graph.closure(wanted, only or needs)
            started: list[str] = []
            try:
                outcome = graph.run(
                    graph.within(needs, chosen),
                    lambda name: self._start(self._parts[name], started),
                    self._interrupted.set,
                )
            except KeyboardInterrupt:
                raise Interrupted(
                    "Interrupted; what was started goes on running.",
                    remedy="`sagestream up` starts the rest, `sagestream down` stops all of it.",
                ) from None
        if outcome.failed:
            raise _summary(outcome)
        return started

    def down(self, only: Iterable[str] = ()) -> list[str]:
        """Stop the processes of this folder, dependents first; returns the parts that ran."""
        self._require_known(only)
        paths = self._context.paths
        if not paths.run.is_dir():
            return []
        needs = graph.reverse({name: part.needs for name, part in self._parts.items()})
        stopped: list[str] = []
        with preflight.only_one(paths, self._clock):
            chosen = graph.closure(needs, only or needs)
            graph.run(
                graph.within(needs, chosen),
                lambda name: self._stop(self._parts[name], stopped),
            )
        return stopped

    def status(self) -> list[Status]:
        """Every part that has a lasting state; asks them all at once."""
        shown = [part for part in self._parts.values() if part.shown]
        found: dict[str, Status] = {}

        def look_at(name: str) -> None:
            found[name] = look(self._parts[name], self._context)

        graph.run({part.name: () for part in shown}, look_at)
        return [found[part.name] for part in shown]

    def part(self, name: str) -> Part:
        """Raises UnknownPart for an unknown name."""
        self._require_known([name])
        return self._parts[name]

    def logs_of(self, name: str) -> list[str]:
        """Log file names (without folder) of a part's processes or of a step."""
        known = {log.stem for log in self._context.paths.logs.glob("*.log")}
        of_part = [n for n in known if n == name or n.startswith(f"{name}-")]
        others = [n for n in self._parts if n.startswith(f"{name}-")]
        return sorted(n for n in of_part if n == name or n not in others)

    def _bind(self, settings: Settings) -> None:
        """(Re)build the parts for these settings."""
        paths = Paths(settings.home)
        self._context = Context(
            settings=settings,
            paths=paths,
            clock=self._clock,
            table=ProcessTable(paths),
            environment=process_environment(settings),
            find_java=_remembered_java(process_environment(settings)),
            progress=lambda done, total: self._reporter.downloading("jars", done, total),
        )
        self._parts = all_parts(self._context)

    def _require_known(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._parts:
                raise UnknownPart(
                    f"There is no part named {name!r}.",
                    remedy=f"The parts are: {', '.join(self._parts)}.",
                )

    def _write_settings(self) -> None:
        """Passwords at the first `up`; ports as this `up` was told, if nothing contradicts them."""
        paths = self._context.paths
        before = settings_file.read(paths.settings_file)
        lines = settings_file.render(self.settings, settings_file.new_password)
        moved = {k for k in lines if k.endswith(("_port", "port_base")) and before.get(k)}
        moved = {k for k in moved if before[k] != lines[k]}
        running = [n for n in self._context.table.names() if self._context.table.alive(n)]
        if moved and running:
            raise CannotRun(
                f"The platform in {paths.home} is running with other ports"
                f" ({', '.join(sorted(moved))}).",
                remedy="Run `sagestream down` first, or drop the port settings from the"
                " environment.",
            )
        if lines != before:
            settings_file.write(paths.settings_file, lines)
        self._bind(load(home=paths.home))

    def _start(self, part: Part, started: list[str]) -> None:
        began = self._clock.monotonic()
        self._reporter.starting(part.name)
        try:
            note = self._bring_up(part)
        except Exception as error:
            self._reporter.failed(part.name, error)
            raise
        if part.shown and note not in (ALREADY_RUNNING, NOTHING_TO_DO):
            started.append(part.name)
        self._reporter.ready(part.name, self._clock.monotonic() - began, note or part.address())

    def _bring_up(self, part: Part) -> str:
        specs = part.processes()
        absent = [spec for spec in specs if self._context.table.alive(spec.name) is None]
        if not absent and part.trouble() is None:
            return ALREADY_RUNNING if specs else NOTHING_TO_DO
        missing = {spec.name for spec in absent if not self._cleared(part, spec)}
        if missing:
            part.prepare()
            for spec in part.processes():
                if spec.name in missing:
                    self._context.table.start(spec)
        self._wait_until_ready(part)
        return ""

    def _cleared(self, part: Part, spec: ProcessSpec) -> bool:
        """Make way for a process; True when it turns out to run already."""
        record = self._context.table.read(spec.name)
        if record is not None:
            self._context.table.kill_leftovers(record)
        for listener in spec.listeners:
            if not ports.is_free(listener):
                if self._context.table.adopt(spec) is not None:
                    return True
                raise ports.conflict(part.name, listener, ports.holder(listener.port))
        return False

    def _wait_until_ready(self, part: Part) -> None:
        deadline = self._clock.monotonic() + part.ready_within_s
        while True:
            if self._interrupted.is_set():
                raise Interrupted(f"Starting {part.name} was interrupted.")
            trouble = part.advance()
            if trouble is None:
                return
            self._reporter.waiting(part.name, trouble)
            for spec in part.processes():
                if self._context.table.alive(spec.name) is None:
                    raise self._failure(part, spec.name, f"{spec.name} ended while starting")
            if self._clock.monotonic() >= deadline:
                log = next((spec.name for spec in part.processes()), part.name)
                what = f"{part.name} was not ready within {part.ready_within_s:.0f} s ({trouble})"
                raise self._failure(part, log, what)
            self._clock.sleep(_POLL_S)

    def _failure(self, part: Part, process: str, what: str) -> PartFailed:
        log = self._context.paths.log(process)
        return PartFailed(
            f"{what}. {logs.quote(log)}",
            remedy=f"Read {log}; then `sagestream up --only {part.name}` tries this part again.",
        )

    def _stop(self, part: Part, stopped: list[str]) -> None:
        names = [spec.name for spec in specs_or_none(part)]
        ran = self._context.table.stop(names, self._clock)
        if ran:
            stopped.append(part.name)
        self._reporter.stopped(part.name, bool(ran))


def _remembered_java(environment: Mapping[str, str]) -> Callable[[], Java]:
    found: list[Java] = []

    def java() -> Java:
        if not found:
            found.append(find_java(environment))
        return found[0]

    return java


def _summary(outcome: graph.Outcome) -> SagestreamError:
    """One error for all failures: the first in full, the others by name."""
    first, error = next(iter(outcome.failed.items()))
    expected = error if isinstance(error, SagestreamError) else PartFailed(f"{first}: {error!r}")
    others = [name for name in outcome.failed if name != first]
    told = expected.message
    if others:
        told += f"\nAlso failed: {', '.join(others)}."
    if outcome.skipped:
        told += f"\nNot started because of that: {', '.join(outcome.skipped)}."
    summary = PartFailed(told, remedy=expected.remedy)
    summary.exit_code = expected.exit_code
    return summary
