"""`sagestream doctor`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from infra.cli.output import Json, print_json, print_table

_MARKS = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[red]✗[/]"}


def command(as_json: Json = False) -> None:
    """Check what the platform needs of this machine, and say how to mend what is missing.

    Exit code 0 when nothing failed (warnings allowed), 4 otherwise.

    Example: sagestream doctor
    """
    from infra import settings
    from infra.clock import SystemClock
    from infra.local.examine import examine

    found = examine(settings.load(), SystemClock())
    failed = [finding for finding in found if finding.verdict == "fail"]
    if as_json:
        print_json({"healthy": not failed, "findings": [asdict(finding) for finding in found]})
    else:
        rows = [
            (_MARKS[finding.verdict], finding.subject, finding.found, finding.remedy)
            for finding in found
        ]
        print_table("", ("", "what", "found", "what to do"), rows)
    if failed:
        raise typer.Exit(4)
