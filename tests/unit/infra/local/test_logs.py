"""Logs: bounded at start, quoted in failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local import logs


def test_a_large_log_is_put_aside_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "ROTATE_BYTES", 10)
    log = tmp_path / "part.log"
    log.write_text("x" * 11)

    logs.rotate(log)

    assert not log.exists()
    assert (tmp_path / "part.log.1").read_text() == "x" * 11


def test_a_small_log_is_continued(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_text("short")

    logs.rotate(log)

    assert log.read_text() == "short"


def test_the_last_lines_are_quoted_without_blank_ones(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_text("one\n\ntwo\n\nthree\n")

    assert logs.quote(log, 2).splitlines()[1:] == ["    two", "    three"]


def test_an_empty_log_is_said_to_be_empty(tmp_path: Path) -> None:
    assert "is empty" in logs.quote(tmp_path / "part.log")


def test_tail_of_a_missing_log_is_nothing(tmp_path: Path) -> None:
    assert logs.tail(tmp_path / "part.log", 5) == []
