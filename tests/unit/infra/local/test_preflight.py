"""What must hold before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.clock import ManualClock
from infra.local import preflight
from infra.local.errors import AnotherUpRunning, FolderUnusable, MachineLacks
from infra.local.paths import Paths


def test_folders_are_made(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "home")

    preflight.make_folders(paths)

    assert paths.run.is_dir()
    assert paths.logs.is_dir()


def test_a_folder_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    paths = Paths(tmp_path / "file" / "home")

    with pytest.raises(FolderUnusable, match="file/home cannot be written"):
        preflight.make_folders(paths)


def test_a_full_disk_is_refused_with_the_amount_needed(tmp_path: Path) -> None:
    with pytest.raises(MachineLacks, match=r"Only 1\.0 GiB are free .* needs 2 GiB"):
        preflight.require_space(Paths(tmp_path), 1024**3)


def test_enough_space_passes(tmp_path: Path) -> None:
    preflight.require_space(Paths(tmp_path), 3 * 1024**3)


def test_a_second_command_waits_and_then_names_the_first(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    preflight.make_folders(paths)

    with (
        preflight.only_one(paths, ManualClock()),
        pytest.raises(AnotherUpRunning, match="pid "),
        preflight.only_one(paths, ManualClock(), wait_s=1),
    ):
        pass


def test_the_lock_is_free_after_use(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    preflight.make_folders(paths)

    for _ in range(2):
        with preflight.only_one(paths, ManualClock(), wait_s=0):
            pass
