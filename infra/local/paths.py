"""Where everything lies under the one data folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import infra


@dataclass(frozen=True, slots=True)
class Paths:
    """Folders and files of one local platform; nothing here touches the disk."""

    home: Path

    @property
    def run(self) -> Path:
        """Pid records and the lock."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def settings_file(self) -> Path:
        return self.home / "settings.env"

    def data(self, part: str) -> Path:
        """The data folder of one component."""
        return self.home / part

    def log(self, process: str) -> Path:
        return self.logs / f"{process}.log"


def source_root() -> Path:
    """The folder that holds the product's packages; goes on the workers' PYTHONPATH."""
    return Path(infra.__file__).resolve().parents[1]
