"""Rewrite the golden files: `python -m tests.golden.update`.

Only after a deliberate change of a form, together with its version number: records of the old
form lie in the log for days, and stored hashes and vectors for ever.
"""

from __future__ import annotations

from tests.golden.cases import CASES, FILES


def main() -> None:
    FILES.mkdir(exist_ok=True)
    for stale in set(FILES.iterdir()) - {FILES / name for name in CASES}:
        stale.unlink()
        print(f"removed    {stale.name}")
    for name, make in CASES.items():
        path, content = FILES / name, make()
        if path.is_file() and path.read_bytes() == content:
            print(f"unchanged  {name}")
            continue
        path.write_bytes(content)
        print(f"rewritten  {name}")


if __name__ == "__main__":
    main()
