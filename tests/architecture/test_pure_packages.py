"""The pure packages load where nothing else is installed, as in Flink's Python worker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROBE = """
import importlib, pkgutil, sys
allowed = set(sys.stdlib_module_names) | {"ingestion", "stream_jobs"}
class OnlyStandard:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in allowed:
            raise ImportError(f"{name} is not in the standard library")
sys.meta_path.insert(0, OnlyStandard())
for package in ("ingestion.events", "stream_jobs.patterns"):
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if module.name != "embedding":  # numpy is allowed there
            importlib.import_module(f"{package}.{module.name}")
"""


def test_the_pure_packages_load_with_the_standard_library_alone() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
