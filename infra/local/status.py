"""How a part does, seen from outside."""

from __future__ import annotations

from dataclasses import dataclass

from infra.errors import SagestreamError
from infra.local.parts import Context, Part
from infra.local.processes import ProcessSpec, memory_bytes


@dataclass(frozen=True, slots=True)
class Status:
    """One part now; `state` is running, starting, crashed or stopped."""

    part: str
    state: str
    trouble: str
    address: str
    pids: list[int]
    uptime_s: int
    memory_bytes: int
    log: str


def look(part: Part, context: Context) -> Status:
    """Ask processes and part; takes as long as the part's own check (seconds at most)."""
    specs = specs_or_none(part)
    alive = {s.name: process for s in specs if (process := context.table.alive(s.name))}
    state, trouble = _judge(part, context, specs, set(alive))
    oldest = min((process.create_time() for process in alive.values()), default=None)
    return Status(
        part=part.name,
        state=state,
        trouble=trouble,
        address=part.address(),
        pids=sorted(process.pid for process in alive.values()),
        uptime_s=int(context.clock.now_ms() / 1000 - oldest) if oldest else 0,
        memory_bytes=sum(memory_bytes(process) for process in alive.values()),
        log=str(context.paths.log(specs[0].name if specs else part.name)),
    )


def specs_or_none(part: Part) -> list[ProcessSpec]:
    """Its processes; none where the machine lacks what the part is made of."""
    try:
        return list(part.processes())
    except SagestreamError:
        return []


def _judge(
    part: Part, context: Context, specs: list[ProcessSpec], alive: set[str]
) -> tuple[str, str]:
    """(state, trouble)."""
    lost = [spec.name for spec in specs if spec.name not in alive]
    if specs and not alive and not any(context.table.read(spec.name) for spec in specs):
        return "stopped", ""
    if lost:
        return "crashed", f"not running: {', '.join(lost)}"
    trouble = part.trouble()
    if trouble is None:
        return "running", ""
    return ("starting" if specs or part.exists() else "stopped"), trouble
