"""The command line: quick, explained, one sentence per failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from typer.testing import CliRunner

from infra.cli.main import app

ROOT = Path(__file__).resolve().parents[4]
COMMANDS = (
    ["up"],
    ["down"],
    ["status"],
    ["doctor"],
    ["logs"],
    ["demo"],
    ["topics"],
    ["migrate"],
    ["run"],
    ["keys", "create"],
    ["keys", "list"],
    ["keys", "revoke"],
    ["events", "send"],
    ["config", "show"],
)
READING = [c for c in COMMANDS if c[0] not in ("demo", "run")]


@dataclass(frozen=True)
class Outcome:
    returncode: int
    stdout: str
    stderr: str


class Sagestream(Protocol):
    def __call__(self, *arguments: str, **environment: str) -> Outcome: ...


@pytest.fixture
def sagestream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sagestream:
    """Call the command with an empty data folder."""
    for name in [name for name in os.environ if name.startswith("SAGESTREAM_")]:
        monkeypatch.delenv(name)

    def call(*arguments: str, **environment: str) -> Outcome:
        given = {"SAGESTREAM_HOME": str(tmp_path), **environment}
        result = CliRunner().invoke(app, list(arguments), env=given, terminal_width=200)
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """Help text of every command."""
    return {
        " ".join(command): CliRunner().invoke(app, [*command, "--help"], terminal_width=200).output
        for command in COMMANDS
    }


@pytest.mark.parametrize("command", [" ".join(c) for c in COMMANDS])
def test_every_command_explains_itself_with_an_example(helps: dict[str, str], command: str) -> None:
    assert f"Example: sagestream {command}" in helps[command]


@pytest.mark.parametrize("command", [" ".join(c) for c in READING])
def test_every_command_can_answer_in_json(helps: dict[str, str], command: str) -> None:
    assert "--json" in helps[command]


def test_the_list_of_commands_hides_what_only_the_platform_calls(sagestream: Sagestream) -> None:
    shown = sagestream("--help").stdout

    assert " up " in shown
    assert " run " not in shown


def test_the_list_of_commands_loads_no_product_package() -> None:
    program = (
        "import sys; import infra.cli.main; "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('storage','ingestion','serving','pydantic','confluent_kafka','psycopg','rich')])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert answer.stdout.strip() == "[]"


def test_an_expected_failure_is_one_sentence_and_a_next_step(sagestream: Sagestream) -> None:
    outcome = sagestream("config", "show", SAGESTREAM_KAFKA_PORT="abc")

    assert outcome.returncode == 4
    assert "SAGESTREAM_KAFKA_PORT is wrong" in outcome.stderr
    assert "what to do:" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_failure_in_json_stays_json(sagestream: Sagestream) -> None:
    outcome = sagestream("up", "--only", "nope", "--json")

    assert outcome.returncode == 2
    assert json.loads(outcome.stdout)["exit_code"] == 2


def test_settings_are_shown_without_secrets(sagestream: Sagestream) -> None:
    outcome = sagestream("config", "show", "--json", SAGESTREAM_POSTGRES_PASSWORD="hush-hush")

    assert "hush-hush" not in outcome.stdout
    assert json.loads(outcome.stdout)["kafka_port"] == "18092"


def test_status_of_a_platform_that_never_ran_says_stopped(sagestream: Sagestream) -> None:
    outcome = sagestream("status", "--json", SAGESTREAM_PORT_BASE="61000")

    assert outcome.returncode == 3
    found = json.loads(outcome.stdout)
    assert {part["state"] for part in found["parts"]} == {"stopped"}


def test_sending_without_a_key_is_wrong_use(sagestream: Sagestream) -> None:
    outcome = sagestream("events", "send", "-")

    assert outcome.returncode == 2
    assert "SAGESTREAM_API_KEY" in outcome.stderr


def test_sending_a_missing_file_is_wrong_use(sagestream: Sagestream) -> None:
    outcome = sagestream("events", "send", "absent.ndjson", "--key", "ssk_x")

    assert outcome.returncode == 2
    assert "absent.ndjson cannot be read" in outcome.stderr


def test_an_unknown_process_name_is_told_with_the_known_ones(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "infra.cli", "run", "gatewya"],
        env={**os.environ, "SAGESTREAM_HOME": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 2
    assert "event-writer" in answer.stderr + answer.stdout
    assert "Traceback" not in answer.stderr


def test_no_color_is_respected(sagestream: Sagestream) -> None:
    outcome = sagestream("status", NO_COLOR="1", FORCE_COLOR="1")

    assert "\x1b[3" not in outcome.stdout
