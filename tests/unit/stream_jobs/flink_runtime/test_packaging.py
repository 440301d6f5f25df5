"""The archive that travels with the job is complete, and the same for the same sources."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stream_jobs.flink_runtime.packaging import write_archive

ROOT = Path(__file__).resolve().parents[4]


def test_the_archive_alone_can_close_a_window(tmp_path: Path) -> None:
    """Isolated: no site packages, no environment, another working directory."""
    archive = write_archive(ROOT, tmp_path)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from stream_jobs.flink_runtime import closed_window\n"
        "from stream_jobs.patterns.signals import DEFAULT_SIGNALS\n"
        "assert sys.argv[1] in closed_window.__file__\n"
        "line = chr(31).join(['e', '0' * 32, '5', 'view', chr(2), chr(2), 'true', chr(2)])\n"
        "print(closed_window.close('c', 's', [line], DEFAULT_SIGNALS).decode())\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(archive)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert '"revision":1' in outcome.stdout


def test_equal_sources_give_equal_archives(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = write_archive(ROOT, tmp_path).read_bytes()
    assert write_archive(ROOT, tmp_path / "other").read_bytes() == first


def test_a_folder_without_the_packages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_archive(tmp_path, tmp_path)
