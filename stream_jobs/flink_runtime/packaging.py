"""The Python code that travels with the job: the pure packages and the function on top."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

ARCHIVE_NAME = "sagestream_windows.zip"
_PACKAGES = ("ingestion/events", "stream_jobs/patterns")
_MODULES = (
    "ingestion/__init__.py",
    "stream_jobs/__init__.py",
    "stream_jobs/flink_runtime/__init__.py",
    "stream_jobs/flink_runtime/closed_window.py",
    "stream_jobs/flink_runtime/closed_window_function.py",
)
# Fixed, so that equal sources give equal archives.
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def write_archive(source_root: Path, folder: Path) -> Path:
    """Zip the modules into `folder`; importable as it is.

    Raises:
        FileNotFoundError: `source_root` does not hold the packages.
    """
    archive = folder / ARCHIVE_NAME
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for name in sorted(_module_names(source_root)):
            out.writestr(zipfile.ZipInfo(name, _TIMESTAMP), (source_root / name).read_bytes())
    return archive


def _module_names(source_root: Path) -> Iterator[str]:
    yield from _MODULES
    for package in _PACKAGES:
        found = sorted((source_root / package).glob("*.py"))
        if not found:
            raise FileNotFoundError(f"{source_root / package} holds no modules")
        yield from (f"{package}/{path.name}" for path in found)
