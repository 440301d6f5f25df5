"""Download the jars named in `jars.lock.json`: pinned, checked, atomic, in parallel.

`python -m infra.local.artifacts lock` resolves the roots again and rewrites the lock.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from infra.clock import Clock
from infra.local.errors import DamagedJar, FolderUnusable, Offline

LOCK_FILE = Path(__file__).with_name("jars.lock.json")
_PARALLEL = 6
_ATTEMPTS = 4
_TIMEOUT_S = 30

# Told (bytes done, bytes in all) as a download goes on; called from several threads, one at a time.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked jar."""

    coordinate: str  # group:artifact:version
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        _group, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(path: Path = LOCK_FILE) -> dict[str, tuple[Jar, ...]]:
    """Group name (`kafka`, `flink`) → its jars."""
    groups = json.loads(path.read_text())["groups"]
    return {
        name: tuple(Jar(j["coordinate"], j["sha256"], j["size_bytes"]) for j in group["jars"])
        for name, group in groups.items()
    }


def all_jars() -> tuple[Jar, ...]:
    """Every locked jar once."""
    return tuple({jar.coordinate: jar for group in read_lock().values() for jar in group}.values())


def classpath(group: str, folder: Path) -> list[Path]:
    """The downloaded files of one group."""
    return [folder / jar.file_name for jar in read_lock()[group]]


def missing(jars: Sequence[Jar], folder: Path) -> list[Jar]:
    """Jars whose file is absent or has another size.

    The checksum is taken once, when a file arrives; a file appears under its name only after.
    """
    return [jar for jar in jars if _size_bytes(folder / jar.file_name) != jar.size_bytes]


def damaged(jars: Sequence[Jar], folder: Path) -> list[Jar]:
    """Jars that are present with a content other than the locked one; reads every byte."""
    present = [jar for jar in jars if (folder / jar.file_name).exists()]
    return [jar for jar in present if sha256_of(folder / jar.file_name) != jar.sha256]


def ensure(
    jars: Sequence[Jar], folder: Path, *, repository: str, progress: Progress, clock: Clock
) -> int:
    """Download what is missing; returns the number of files fetched.

    Raises:
        Offline: the repository was not reached after several attempts.
        DamagedJar: what arrived is not what was locked. FolderUnusable: no space or permission.
    """
    wanted = missing(jars, folder)
    if not wanted:
        return 0
    counter = _Counter(sum(jar.size_bytes for jar in wanted), progress)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch,
            ThreadPoolExecutor(_PARALLEL) as pool,
        ):
            fetch = _Fetch(Path(scratch), folder, repository, counter, clock)
            # Largest first, so that the last thread does not end alone with the biggest file.
            largest_first = sorted(wanted, key=lambda jar: -jar.size_bytes)
            list(pool.map(fetch.fetch, largest_first))
    except OSError as error:
        raise FolderUnusable(
            f"The jar folder {folder} cannot be written ({error.strerror or error}).",
            remedy="Free some space or permissions there, then run `sagestream up` again.",
        ) from error
    return len(wanted)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def maven_context(repo_cache: Path, repository: str, on_bytes: Callable[[int], None]) -> Any:
    """jgo's pure-Python Maven client; `repository` empty means its default."""
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def report(_name: str, _size_bytes: int) -> Iterator[Callable[[int], None]]:
        yield on_bytes

    return MavenContext(
        resolver=PythonResolver(progress_callback=report),
        repo_cache=repo_cache,
        remote_repos={"configured": repository.rstrip("/")} if repository else None,
        timeout=_TIMEOUT_S,
    )


class _Counter:
    """Adds up bytes over all threads."""

    def __init__(self, total_bytes: int, progress: Progress) -> None:
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._told_bytes = 0
        self._progress = progress
        self._lock = Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done_bytes += count
            moved = abs(self._done_bytes - self._told_bytes)
            if moved * 200 >= self._total_bytes or self._done_bytes == self._total_bytes:
                self._told_bytes = self._done_bytes
                self._progress(self._done_bytes, self._total_bytes)


@dataclass(frozen=True, slots=True)
class _Fetch:
    scratch: Path
    folder: Path
    repository: str
    counter: _Counter
    clock: Clock

    def fetch(self, jar: Jar) -> None:
        """Try a few times with growing pauses; rename into place only when the checksum fits."""
        for attempt in range(_ATTEMPTS):
            received: list[int] = []
            try:
                self._fetch_once(jar, received)
                return
            except OSError as error:
                # requests' errors are OSErrors too: only the network ones are worth another try.
                if not _is_network(error):
                    raise
                cause: Exception = error
            except RuntimeError as error:  # jgo's word for "no repository has it"
                cause = error
            self.counter.add(-sum(received))
            if attempt + 1 < _ATTEMPTS:
                self.clock.sleep(0.5 * 2**attempt)
        raise Offline(
            f"{jar.coordinate} could not be downloaded ({type(cause).__name__}).",
            remedy="Check the network, or set SAGESTREAM_MAVEN_REPOSITORY to a reachable Maven"
            " repository, then run `sagestream up` again; finished files are kept.",
        ) from cause

    def _fetch_once(self, jar: Jar, received: list[int]) -> None:
        def on_bytes(count: int) -> None:
            received.append(count)
            self.counter.add(count)

        cache = self.scratch / jar.file_name
        shutil.rmtree(cache, ignore_errors=True)
        context = maven_context(cache, self.repository, on_bytes)
        artifact = context.create_dependency(jar.coordinate).artifact
        path = Path(context.resolver.download(artifact))
        if sha256_of(path) != jar.sha256:
            raise DamagedJar(
                f"The repository's copy of {jar.coordinate} is not the one this release was"
                " tested with.",
                remedy="Use a repository you trust (SAGESTREAM_MAVEN_REPOSITORY), or rewrite the"
                " lock on purpose with `python -m infra.local.artifacts lock`.",
            )
        path.replace(self.folder / jar.file_name)


def _is_network(error: OSError) -> bool:
    import requests

    return isinstance(error, requests.RequestException | TimeoutError | ConnectionError)


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def main(arguments: Sequence[str]) -> int:
    """`lock` rewrites the lock file."""
    from infra.local.artifact_lock import resolve

    if list(arguments) != ["lock"]:
        sys.stderr.write("usage: python -m infra.local.artifacts lock\n")
        return 2
    try:
        LOCK_FILE.write_text(json.dumps(resolve(), indent=1) + "\n")
    except (OSError, RuntimeError) as error:
        sys.stderr.write(f"The lock could not be made ({error}).\n")
        return Offline.exit_code
    sys.stdout.write(f"wrote {LOCK_FILE.name}: {len(all_jars())} jars\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
