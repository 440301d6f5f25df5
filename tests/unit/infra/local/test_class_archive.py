"""Class-data archives are used when whole, made when not, and never mixed up."""

from __future__ import annotations

from pathlib import Path

from infra.local import class_archive
from infra.local.java import Java

JAVA = Java(Path("/usr/bin/java"), 17, "PATH")
CLASSPATH = [Path("/jars/a.jar")]


def archive_option(folder: Path, classpath: list[Path] = CLASSPATH) -> str:
    return class_archive.options(folder, "kafka", JAVA, classpath)[0]


def archive_path(option: str) -> Path:
    return Path(option.partition("=")[2])


def test_the_first_start_makes_the_archive(tmp_path: Path) -> None:
    assert archive_option(tmp_path).startswith("-XX:ArchiveClassesAtExit=")


def test_the_next_start_uses_it(tmp_path: Path) -> None:
    archive_path(archive_option(tmp_path)).write_bytes(b"\xf0\x0b\xab\xa8...")

    assert archive_option(tmp_path).startswith("-XX:SharedArchiveFile=")


def test_a_half_written_archive_is_made_again(tmp_path: Path) -> None:
    broken = archive_path(archive_option(tmp_path))
    broken.write_bytes(b"\0" * 100)

    assert archive_option(tmp_path).startswith("-XX:ArchiveClassesAtExit=")
    class_archive.tidy(tmp_path, "kafka")
    assert not broken.exists()


def test_other_jars_mean_another_archive(tmp_path: Path) -> None:
    other = [*CLASSPATH, Path("/jars/b.jar")]

    assert archive_option(tmp_path) != archive_option(tmp_path, other)
