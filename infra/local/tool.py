"""Run a program that does one thing and ends, its output in a log."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from infra.local import logs, unprivileged
from infra.local.errors import PartFailed


def run(
    what: str,
    argv: tuple[str | Path, ...],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    timeout_s: float,
    given: bytes = b"",
    user_id: int | None = None,
) -> None:
    """Return when it has succeeded; `given` goes to its standard input.

    Raises:
        PartFailed: "`what` failed", with the last lines of its output.
    """
    logs.rotate(log)
    began_bytes = log.stat().st_size if log.exists() else 0
    try:
        with log.open("ab") as output:
            code = subprocess.run(
                argv,
                env=env,
                cwd=cwd,
                input=given,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
                user=user_id,
                group=unprivileged.group_id(user_id),
                extra_groups=[] if user_id is not None else None,
            ).returncode
    except subprocess.TimeoutExpired:
        trouble = f"was not done within {timeout_s:.0f} s"
    except OSError as error:
        trouble = f"could not be started ({error.strerror or error})"
    else:
        if code == 0:
            return
        trouble = "failed"
    raise PartFailed(
        f"{what} {trouble}. {logs.quote(log, began_bytes=began_bytes)}",
        remedy=f"Mend what {log} names, then run `sagestream up` again.",
    )
