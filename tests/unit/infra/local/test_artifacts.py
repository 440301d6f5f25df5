"""Jars are pinned, checked, and appear under their name only when whole."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from infra.clock import ManualClock
from infra.local import artifacts
from infra.local.artifacts import Jar
from infra.local.errors import DamagedJar, Offline

CONTENT = b"a small jar"
JAR = Jar("org.example:thing:1.2", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class Repository:
    """Stands in for jgo's Maven client: serves `content`, or fails `failures` times first."""

    def __init__(self, content: bytes = CONTENT, failures: int = 0) -> None:
        self.content = content
        self.failures = failures
        self.asked = 0

    def context(self, repo_cache: Path, _repository: str, on_bytes: Any) -> Any:
        outer = self

        class Resolver:
            def download(self, _artifact: Any) -> Path:
                outer.asked += 1
                if outer.asked <= outer.failures:
                    raise ConnectionError("no route to host")
                repo_cache.mkdir(parents=True)
                path = repo_cache / "downloaded"
                path.write_bytes(outer.content)
                on_bytes(len(outer.content))
                return path

        class Context:
            resolver = Resolver()

            def create_dependency(self, coordinate: str) -> Any:
                return type("Dependency", (), {"artifact": coordinate})()

        return Context()


def ensure(folder: Path) -> int:
    return artifacts.ensure(
        [JAR], folder, repository="", progress=lambda _done, _all: None, clock=ManualClock()
    )


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Repository:
    repository = Repository()
    monkeypatch.setattr(artifacts, "maven_context", repository.context)
    return repository


def test_every_locked_jar_has_an_exact_version_and_a_checksum() -> None:
    for jar in artifacts.all_jars():
        assert re.fullmatch(r"[\w.\-]+:[\w.\-]+:[0-9][\w.\-]*", jar.coordinate)
        assert re.fullmatch(r"[0-9a-f]{64}", jar.sha256)
        assert jar.size_bytes > 0


def test_no_two_locked_jars_share_a_file_name() -> None:
    names = [jar.file_name for jar in artifacts.all_jars()]

    assert len(set(names)) == len(names)


def test_the_lock_holds_the_broker_a_log_binding_and_the_connector() -> None:
    coordinates = " ".join(jar.coordinate for jar in artifacts.all_jars())

    assert "org.apache.kafka:kafka_2.13:4.4.0" in coordinates
    assert "log4j-slf4j-impl:" in coordinates
    assert "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2" in coordinates


def test_the_lock_names_no_host() -> None:
    assert "://" not in artifacts.LOCK_FILE.read_text()


def test_a_missing_jar_is_downloaded_under_its_name(tmp_path: Path, repository: Repository) -> None:
    assert ensure(tmp_path) == 1

    assert (tmp_path / "thing-1.2.jar").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["thing-1.2.jar"]


def test_a_present_jar_is_not_downloaded_again(tmp_path: Path, repository: Repository) -> None:
    ensure(tmp_path)

    assert ensure(tmp_path) == 0
    assert repository.asked == 1


def test_a_broken_connection_is_tried_again(tmp_path: Path, repository: Repository) -> None:
    repository.failures = 2

    assert ensure(tmp_path) == 1


def test_being_offline_is_one_sentence_with_a_way_out(
    tmp_path: Path, repository: Repository
) -> None:
    repository.failures = 99

    with pytest.raises(Offline) as caught:
        ensure(tmp_path)

    assert "org.example:thing:1.2 could not be downloaded" in caught.value.message
    assert "SAGESTREAM_MAVEN_REPOSITORY" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_jar_with_another_content_is_refused(tmp_path: Path, repository: Repository) -> None:
    repository.content = b"an evil jar"

    with pytest.raises(DamagedJar, match=r"org\.example:thing:1\.2"):
        ensure(tmp_path)

    assert not (tmp_path / "thing-1.2.jar").exists()


def test_a_jar_damaged_later_is_found(tmp_path: Path, repository: Repository) -> None:
    ensure(tmp_path)
    (tmp_path / "thing-1.2.jar").write_bytes(b"a small jaR")

    assert artifacts.damaged([JAR], tmp_path) == [JAR]
