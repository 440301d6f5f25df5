"""What a part of the platform is: processes to start, or a step to take, and a way to ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.clock import Clock
from infra.local.java import Java
from infra.local.paths import Paths
from infra.local.processes import ProcessSpec, ProcessTable
from infra.settings import Settings

# Told (bytes done, bytes in all) while a part downloads.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Context:
    """All that a part may use."""

    settings: Settings
    paths: Paths
    clock: Clock
    table: ProcessTable
    # What every child process starts from: our own environment and the data folder.
    environment: Mapping[str, str]
    find_java: Callable[[], Java]
    progress: Progress = field(default=lambda _done, _total: None)

    @property
    def jars(self) -> Path:
        return self.settings.artifacts / "jars"

    @property
    def class_archives(self) -> Path:
        return self.settings.artifacts / "classes"

    def plain_environment(self, **more: str) -> dict[str, str]:
        """For programs that are not ours: no settings, so no secrets."""
        kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
        return {k: self.environment[k] for k in kept if k in self.environment} | more


class Part:
    """A component, or a step between components (a part without processes).

    The supervisor calls `prepare` when a process of the part is missing, starts what is missing,
    then calls `advance` until it returns None. All of them may be called on a part in any state.
    """

    name: str
    needs: tuple[str, ...] = ()
    # Started along with this part, but not waited for before it.
    companions: tuple[str, ...] = ()
    # Generous: a part that dies is noticed at once, and a busy machine is no failure.
    ready_within_s: float = 120.0
    # Steps are run at every `up` and only shown in a status when they have a lasting state.
    shown: bool = True

    def __init__(self, context: Context) -> None:
        self.context = context

    @property
    def settings(self) -> Settings:
        return self.context.settings

    @property
    def folder(self) -> Path:
        """This part's data."""
        return self.context.paths.data(self.name)

    def address(self) -> str:
        """Where a person finds it; empty for steps."""
        return ""

    def processes(self) -> Sequence[ProcessSpec]:
        """Specifications of its processes; may read the disk but changes nothing."""
        return ()

    def prepare(self) -> None:
        """Make data folders and configuration; called before a missing process is started."""

    def trouble(self) -> str | None:
        """What keeps it from working, None when it works; changes nothing, answers in seconds."""
        return None

    def exists(self) -> bool:
        """Whether a part without processes is there at all, working or not."""
        return False

    def advance(self) -> str | None:
        """Take what steps are possible toward readiness; what is still missing, or None."""
        return self.trouble()
