"""What the late repair makes of late records and of what the store holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from infra.kafka.consumer import ConsumedRecord
from infra.topics import LATE_EVENTS, SESSION_WINDOWS
from ingestion.events.dead_letter import DeadLetter
from stream_jobs.late_repair.repair import Window, as_records, coalesce, recount, window_of
from stream_jobs.patterns.accumulator import WindowEvent
from stream_jobs.patterns.signals import DEFAULT_SIGNALS
from stream_jobs.patterns.window_result import WindowResult
from tests.support.builders import DAY_MS, window_event

WINDOW: Window = ("acme", "s-1", DAY_MS)
Stored = Mapping[Window, tuple[int, list[WindowEvent]]]


def late(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "client_id": "acme",
        "session_id": "s-1",
        "window_start": DAY_MS,
        "event_id": "e-1",
        "event_time": DAY_MS + 5,
        "reason": "late",
    }
    return json.dumps(fields | changes).encode()


def record(offset: int, value: bytes | None) -> ConsumedRecord:
    return ConsumedRecord(LATE_EVENTS.name, 3, offset, b"s-1", value, 0)


def results_of(stored: Stored) -> list[WindowResult]:
    def read(windows: Sequence[Window]) -> Stored:
        return {window: stored[window] for window in windows}

    return [WindowResult.decode(r.value) for r in recount(list(stored), read, DEFAULT_SIGNALS)]


def test_many_late_events_of_a_window_are_one_recount() -> None:
    batch = coalesce([record(n, late(event_id=f"e-{n}")) for n in range(50)], 7)
    assert batch.windows == [WINDOW]
    assert batch.letters == []


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100_000,
        late(client_id=None),
        late(client_id=""),
        late(client_id="c" * 51),
        late(session_id=5),
        late(session_id="s" * 101),
        late(session_id="s\x00"),
        late(session_id="\ud800"),
        late(window_start=DAY_MS + 1),
        late(window_start=float(DAY_MS)),
        late(window_start=True),
        late(window_start=-300_000),
        late(window_start=300_000 * 10**15),
    ],
)
def test_a_record_that_names_no_window_is_a_dead_letter_and_the_rest_goes_on(
    value: bytes | None,
) -> None:
    batch = coalesce([record(1, late()), record(2, value), record(3, late())], 7)
    assert batch.windows == [WINDOW]
    (letter,) = batch.letters
    assert (letter.topic, letter.partition, letter.offset) == (LATE_EVENTS.name, 3, 2)
    assert (letter.reason, letter.raw, letter.at_ms) == ("not_a_late_record", value or b"", 7)
    (published,) = as_records([letter])
    assert DeadLetter.from_bytes(published.value or b"") == letter


def test_the_writers_record_names_its_window() -> None:
    assert window_of(late()) == WINDOW


def test_a_recount_holds_every_stored_event_and_the_stored_generation() -> None:
    events = [window_event(f"e-{n}", at_ms=DAY_MS + n) for n in range(3)]
    (result,) = results_of({WINDOW: (2, events)})
    assert result.window == WINDOW
    assert (result.engine, result.generation, result.revision) == ("late-repair", 2, 3)


def test_a_window_that_lost_all_its_events_is_told_as_empty() -> None:
    (result,) = results_of({WINDOW: (1, [])})
    assert (result.generation, result.revision, result.observations) == (1, 0, ())


def test_a_window_for_which_nothing_was_ever_stored_is_not_told() -> None:
    assert results_of({WINDOW: (0, [])}) == []


def test_a_result_goes_to_the_key_under_which_the_engines_write() -> None:
    (published,) = recount([WINDOW], lambda _w: {WINDOW: (0, [window_event()])}, DEFAULT_SIGNALS)
    assert (published.topic, published.key) == (SESSION_WINDOWS.name, b"acme|s-1")


def test_a_result_that_fits_no_message_does_not_block_the_others() -> None:
    """Three thousand types of fifty four-byte characters, none twice."""
    giant = [
        window_event(f"e-{n}", at_ms=DAY_MS + n, event_type=f"{n:04d}" + "\U0001f642" * 46)
        for n in range(4_000)
    ]
    other: Window = ("acme", "s-2", DAY_MS)
    (result,) = results_of({WINDOW: (0, giant), other: (0, [window_event()])})
    assert result.window == other
