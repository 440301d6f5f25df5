"""Forms that others read stay as they are; `python -m tests.golden.update` changes them."""

from __future__ import annotations

import pytest

from ingestion.events import codec
from ingestion.events.dead_letter import DeadLetter
from stream_jobs.patterns.accumulator import WindowAccumulator
from stream_jobs.patterns.window_result import WindowResult
from tests.golden.cases import CASES, FILES, START_MS, events, window


@pytest.mark.parametrize("name", CASES)
def test_a_form_is_byte_for_byte_what_it_was(name: str) -> None:
    assert CASES[name]() == (FILES / name).read_bytes()


def test_no_golden_file_is_left_without_a_case() -> None:
    assert {path.name for path in FILES.iterdir()} == set(CASES)


def test_what_was_written_once_can_still_be_read() -> None:
    *records, heartbeat = (FILES / "event_records.ndjson").read_bytes().splitlines()
    assert [codec.decode(record) for record in records] == events()
    assert codec.decode(heartbeat).is_heartbeat
    assert WindowAccumulator.from_bytes((FILES / "accumulator.bin").read_bytes()) == window()
    message = WindowResult.decode((FILES / "window_message.json").read_bytes())
    assert message.window == ("acme", "s-1", START_MS)
    letter = DeadLetter.from_bytes((FILES / "dead_letter.json").read_bytes())
    assert letter.raw == b"\x00\xff{"
