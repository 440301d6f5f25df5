"""Class-data archives: Java programs start in half the time from their second start on.

A JVM told so writes the classes it loaded to a file when it ends in peace; the next one maps
them. The JVM itself ignores an archive that does not fit it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from infra.local.java import Java

# The header is written last, so an archive whose writer was killed begins with zeros.
_UNWRITTEN = b"\0\0\0\0"


def options(folder: Path, name: str, java: Java, classpath: Sequence[Path]) -> tuple[str, ...]:
    """JVM options that use the archive if there is one, else make it at exit."""
    identity = "\n".join([str(java.executable), str(java.major), *map(str, classpath)])
    key = hashlib.sha256(identity.encode()).hexdigest()[:12]
    archive = folder / f"{name}-{key}.jsa"
    use = "SharedArchiveFile" if is_complete(archive) else "ArchiveClassesAtExit"
    # Every class that cannot be archived would be a warning in the part's log.
    return (f"-XX:{use}={archive}", "-Xlog:disable", "-Xlog:all=error:stderr")


def tidy(folder: Path, name: str) -> None:
    """Make room for a new archive: broken ones and those of other versions go."""
    folder.mkdir(parents=True, exist_ok=True)
    complete = [archive for archive in folder.glob(f"{name}-*.jsa") if is_complete(archive)]
    newest = max(complete, key=lambda archive: archive.stat().st_mtime_ns, default=None)
    for archive in folder.glob(f"{name}-*.jsa"):
        if archive != newest:
            archive.unlink()


def is_complete(archive: Path) -> bool:
    try:
        with archive.open("rb") as file:
            return file.read(4) not in (b"", _UNWRITTEN)
    except FileNotFoundError:
        return False
