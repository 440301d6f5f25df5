"""The README's examples, run as they stand there (but for ports and keys)."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.support.platform import ROOT, Platform

pytestmark = pytest.mark.integration

BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def block_with(text: str) -> str:
    """The one fenced block of the README that holds `text`."""
    found = [
        body for _kind, body in BLOCK.findall((ROOT / "README.md").read_text()) if text in body
    ]
    assert len(found) == 1, text
    return found[0]


def run(platform: Platform, script: list[str], **variables: str) -> str:
    outcome = subprocess.run(
        script,
        env={**platform.environment, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def here(platform: Platform, text: str) -> str:
    """The example with this platform's ports instead of the shipped ones."""
    settings = platform.settings
    for shipped, port in (
        (18080, settings.gateway_port),
        (18090, settings.serving_port),
        (18023, settings.clickhouse_port),
    ):
        text = text.replace(f"localhost:{shipped}", f"127.0.0.1:{port}")
    return text


@pytest.fixture(scope="module")
def key(platform: Platform) -> str:
    return platform.key("readme")


def test_the_event_example_is_acknowledged(platform: Platform, key: str) -> None:
    example = here(platform, block_with("/v1/events"))
    answer = json.loads(run(platform, ["bash", "-c", example], SAGESTREAM_API_KEY=key))
    assert answer["success"] is True
    assert answer["durability"] == "kafka"


def test_the_segment_example_is_acknowledged(platform: Platform, key: str) -> None:
    example = here(platform, block_with("from segment.analytics.client"))
    run(platform, [sys.executable, "-c", example.replace("ssk_...", key)])


def test_the_match_example_is_answered(platform: Platform, key: str) -> None:
    example = here(platform, block_with("/v1/patterns/match"))
    answer = json.loads(run(platform, ["bash", "-c", example], SAGESTREAM_API_KEY=key))
    assert "matches" in answer


def test_the_sql_example_is_answered(platform: Platform) -> None:
    example = here(platform, block_with("success_rate_by_industry_and_campaign"))
    password = platform.settings.clickhouse_analyst_password.get_secret_value()
    answer = run(platform, ["bash", "-c", example], PASSWORD=password)
    assert "Exception" not in answer
