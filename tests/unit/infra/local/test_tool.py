"""Programs that do one thing: quiet when they succeed, quoted when they do not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from infra.local import tool
from infra.local.errors import PartFailed


def run(folder: Path, program: str, timeout_s: float = 20.0, given: bytes = b"") -> None:
    tool.run(
        "Doing it",
        (sys.executable, "-c", program),
        env={},
        cwd=folder,
        log=folder / "tool.log",
        timeout_s=timeout_s,
        given=given,
    )


def test_success_returns_and_leaves_a_log(tmp_path: Path) -> None:
    run(tmp_path, "print(input())", given=b"hello\n")

    assert (tmp_path / "tool.log").read_text() == "hello\n"


def test_a_failure_quotes_what_this_run_said(tmp_path: Path) -> None:
    (tmp_path / "tool.log").write_text("an older complaint\n")

    with pytest.raises(PartFailed, match=r"Doing it failed\.") as caught:
        run(tmp_path, "raise SystemExit('no such table')")

    assert "no such table" in caught.value.message
    assert "older" not in caught.value.message


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(PartFailed, match=r"Doing it was not done within 0 s"):
        run(tmp_path, "import time; time.sleep(60)", timeout_s=0.2)


def test_a_missing_program_is_told(tmp_path: Path) -> None:
    with pytest.raises(PartFailed, match="Doing it could not be started"):
        tool.run(
            "Doing it",
            (tmp_path / "absent",),
            env={},
            cwd=tmp_path,
            log=tmp_path / "tool.log",
            timeout_s=5,
        )
