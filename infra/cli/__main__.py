"""`python -m infra.cli`: the same as `sagestream`."""

from __future__ import annotations

import sys

if sys.argv[1:2] == ["run"] and len(sys.argv) == 3 and not sys.argv[2].startswith("-"):
    # Processes that run for days do without the packages that only a person's terminal needs.
    from infra.cli.run import run_process

    sys.exit(run_process(sys.argv[2]))

from infra.cli.main import app

app(prog_name="sagestream")
