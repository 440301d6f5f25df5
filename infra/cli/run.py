"""Entry of every long-running process: `sagestream run NAME`."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated

# name → module with `main(settings) -> int`
MODULES = {
    "gateway": "ingestion.gateway.main",
    "event-writer": "storage.writers.event_writer_main",
    "analytics-writer": "storage.writers.analytics_writer_main",
    "pattern-writer": "storage.writers.pattern_writer_main",
    "late-repair": "stream_jobs.late_repair.main",
    "serving": "serving.main",
    "clickhouse": "infra.local.clickhouse.main",
}


def run_process(name: str) -> int:
    """Load the settings, set up logging, run until told to stop; returns the exit code."""
    from infra import log, settings
    from infra.errors import SagestreamError

    if name not in MODULES:
        sys.stderr.write(
            f"There is no process named {name!r}. The processes are: {', '.join(MODULES)}.\n"
        )
        return 2
    log.configure(name, "info")
    try:
        loaded = settings.load()
        log.configure(name, loaded.log_level)
        module = importlib.import_module(MODULES[name])
        return int(module.main(loaded))
    except SagestreamError as error:
        log.get("run").error("stopped", reason=error.message, remedy=error.remedy)
        return error.exit_code


def command(name: Annotated[str, "gateway, serving, event-writer, …"]) -> None:
    """Run one of Sagestream's processes in the foreground (used by `up` and by containers).

    Example: sagestream run gateway
    """
    import typer

    raise typer.Exit(run_process(name))
