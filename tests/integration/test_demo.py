"""`sagestream demo`, as a newcomer runs it: the real log, every event accounted for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.platform import COMMAND, ROOT

pytestmark = pytest.mark.integration


def test_the_demonstration_accounts_for_every_event_of_the_real_log(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [str(COMMAND), "demo"],
        cwd=ROOT,
        env={**os.environ, "SAGESTREAM_HOME": str(tmp_path), "SAGESTREAM_PORT_BASE": "29000"},
        capture_output=True,
        text=True,
        check=False,
        timeout=290,
    )
    assert outcome.returncode == 0, outcome.stdout[-3000:] + outcome.stderr[-3000:]
    summary = json.loads(outcome.stdout.splitlines()[-1])
    assert summary["events_sent"] == summary["acked"] == summary["kafka"] == 72_312
    assert summary["postgres"] == summary["clickhouse"] == 72_301
    assert summary["duplicates"] == 11
    assert summary["windows"] == 48_871
    assert summary["dead_letters"] == summary["residue"] == 0
    assert summary["patterns"] > 0
    assert "view > bookmark" in outcome.stdout
