"""The layout is the architecture: imports point one way (contracts in pyproject.toml)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("ingestion", "stream_jobs", "batch_jobs", "storage", "serving", "infra")
CLOCK_OWNERS = {"infra/clock.py"}
ENVIRONMENT_OWNERS = {"infra/settings.py"}
LINES_MAX = 420


def product_files() -> list[Path]:
    return [path for package in PRODUCT for path in sorted((ROOT / package).rglob("*.py"))]


def lint_imports(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--config", str(config), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_import_contract_holds() -> None:
    outcome = lint_imports(ROOT / "pyproject.toml")
    assert outcome.returncode == 0, outcome.stdout


def test_the_import_contracts_bite(tmp_path: Path) -> None:
    """A contract that forbids an import that does exist must be reported as broken."""
    config = tmp_path / "importlinter.toml"
    config.write_text(
        "[tool.importlinter]\n"
        'root_packages = ["storage", "infra"]\n'
        "[[tool.importlinter.contracts]]\n"
        'name = "planted"\ntype = "forbidden"\n'
        'source_modules = ["storage"]\nforbidden_modules = ["infra"]\n'
    )
    assert lint_imports(config).returncode != 0


def calls_of(tree: ast.AST, module: str) -> list[str]:
    """Attributes of `module` that are used in the file."""
    return [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == module
    ]


def test_only_the_clock_module_reads_the_wall_clock() -> None:
    offenders = []
    for path in product_files():
        name = str(path.relative_to(ROOT))
        if name in CLOCK_OWNERS:
            continue
        tree = ast.parse(path.read_text())
        if {"time", "time_ns", "sleep"} & set(calls_of(tree, "time")):
            offenders.append(name)
        if {"now", "utcnow", "today"} & set(calls_of(tree, "datetime")):
            offenders.append(name)
    assert offenders == []


def test_only_settings_reads_the_environment() -> None:
    offenders = [
        str(path.relative_to(ROOT))
        for path in product_files()
        if str(path.relative_to(ROOT)) not in ENVIRONMENT_OWNERS
        and {"environ", "getenv"} & set(calls_of(ast.parse(path.read_text()), "os"))
    ]
    assert offenders == []


def test_files_stay_readable_in_one_sitting() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in product_files()
        if (lines := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert long == {}


def test_every_package_says_what_it_is_for() -> None:
    packages = {path.parent for path in product_files() if path.name == "__init__.py"}
    top_level = {ROOT / name for name in PRODUCT}
    missing = [
        str(package.relative_to(ROOT))
        for package in sorted(packages - top_level)
        if not (package / "README.md").is_file() and not (package.parent / "README.md").is_file()
    ]
    assert missing == []


def test_top_level_packages_import_nothing() -> None:
    for name in PRODUCT:
        assert (ROOT / name / "__init__.py").read_text().strip() == "", name


def test_our_package_names_belong_to_us_alone() -> None:
    """An editable install comes after site-packages: a stranger's `storage` would win silently."""
    import importlib
    from importlib.metadata import packages_distributions

    owners = packages_distributions()
    for name in PRODUCT:
        assert set(owners.get(name, ["sagestream"])) == {"sagestream"}
        assert Path(str(importlib.import_module(name).__file__)).is_relative_to(ROOT)
