"""`python -m bench --workloads ingest,windows`: print a table, write bench/out/results.json."""

from __future__ import annotations

import argparse
import fcntl
import importlib
import json
import os
import sys

from bench.results import OUT, RESULTS, write

WORKLOADS = {"ingest": "bench.ingest.run", "windows": "bench.windows.run"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="names, with commas")
    parser.add_argument("--json", action="store_true", help="print the results as JSON only")
    arguments = parser.parse_args()
    names = [name.strip() for name in arguments.workloads.split(",") if name.strip()]
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        parser.error(f"unknown workload {unknown[0]}; known: {', '.join(WORKLOADS)}")
    OUT.mkdir(parents=True, exist_ok=True)
    with (OUT / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.stderr.write("Another benchmark is running; wait until it has ended.\n")
            return 1
        load = os.getloadavg()[0]
        if load > 1.0:
            sys.stderr.write(
                f"warning: the load is {load:.1f}; figures of a busy machine are low.\n"
            )
        found = []
        for name in names:
            found += importlib.import_module(WORKLOADS[name]).run()
            write(found)
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        report(found)
    return 0 if all(entry["pass"] for entry in found) else 1


def report(found: list[dict[str, object]]) -> None:
    print(f"\n{'comparison':<28}{'ours':>12}{'peer':>12}{'ratio':>8}{'goal':>7}  unit, peer")
    for entry in found:
        mark = "✓" if entry["pass"] else "✗"
        print(
            f"{entry['id']:<28}{entry['ours']:>12,.0f}{entry['peer']:>12,.0f}{entry['ratio']:>7}×"
            f"{entry['goal']:>6}× {mark} {entry['unit']}, {entry['peer_name']}"
        )
    print(f"\nwritten to {RESULTS.relative_to(OUT.parents[1])}")


if __name__ == "__main__":
    sys.exit(main())
