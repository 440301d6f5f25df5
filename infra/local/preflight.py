"""What must hold before anything is started."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.clock import Clock
from infra.local.errors import AnotherUpRunning, FolderUnusable, MachineLacks
from infra.local.paths import Paths

FREE_BYTES_MIN = 2 * 1024**3
_LOCK_WAIT_S = 300.0


def make_folders(paths: Paths) -> None:
    """Create the data folder and prove that it can be written.

    Raises:
        FolderUnusable: it cannot.
    """
    try:
        for folder in (paths.home, paths.run, paths.logs):
            folder.mkdir(parents=True, exist_ok=True)
        probe = paths.run / ".writable"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise FolderUnusable(
            f"The data folder {paths.home} cannot be written ({error.strerror}).",
            remedy="Make it writable, or choose another with SAGESTREAM_HOME.",
        ) from error


def free_bytes(folder: Path) -> int:
    """Free space where the folder lies or will lie."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    return shutil.disk_usage(existing).free


def require_space(paths: Paths, free: int) -> None:
    """Raises MachineLacks when the stores would fill the disk at once."""
    if free < FREE_BYTES_MIN:
        raise MachineLacks(
            f"Only {free / 1024**3:.1f} GiB are free in {paths.home}; the platform needs"
            f" {FREE_BYTES_MIN / 1024**3:.0f} GiB to start.",
            remedy="Free some space, or choose another disk with SAGESTREAM_HOME.",
        )


@contextmanager
def only_one(paths: Paths, clock: Clock, wait_s: float = _LOCK_WAIT_S) -> Iterator[None]:
    """Hold the folder's lock, waiting for another `up` or `down` to finish.

    The system releases the lock when its holder dies, however it dies.
    """
    deadline = clock.monotonic() + wait_s
    with (paths.run / "lock").open("a+") as file:
        while not _try_lock(file.fileno()):
            if clock.monotonic() >= deadline:
                file.seek(0)
                raise AnotherUpRunning(
                    f"Another sagestream command (pid {file.read().strip() or 'unknown'}) has been"
                    f" starting or stopping the platform in {paths.home} for minutes.",
                    remedy="Wait for it or end it, then try again.",
                )
            clock.sleep(0.2)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
