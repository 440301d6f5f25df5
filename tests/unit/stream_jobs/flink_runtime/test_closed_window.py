"""A closed window becomes the same result as anywhere else, whatever lines it holds."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.events import codec
from ingestion.events.errors import MalformedRecord
from stream_jobs.flink_runtime.closed_window import close, parse
from stream_jobs.patterns.accumulator import NULL, WindowAccumulator, WindowEvent
from stream_jobs.patterns.signals import DEFAULT_SIGNALS, SignalTable
from stream_jobs.patterns.window import window_start
from stream_jobs.patterns.window_result import WindowResult, result_of
from tests.support.builders import DAY_MS, random_log

HASH = "0123456789abcdef" * 2


def flink_line(fields: dict[str, object]) -> str:
    """The line as the SQL builds it from a record's fields; facts keep their JSON text."""
    success = fields.get("success")
    score = fields.get("success_score")
    return "\x1f".join(
        (
            str(fields["event_id"]),
            str(fields["body_hash"]),
            str(fields["event_time"]),
            str(fields["event_type"]),
            str(fields.get("industry", NULL)),
            str(fields.get("campaign_type", NULL)),
            NULL if success is None else json.dumps(success),
            NULL if score is None else json.dumps(score),
        )
    )


def record(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "v": 1,
        "event_id": "e-1",
        "client_id": "acme",
        "session_id": "s-1",
        "event_type": "view",
        "event_time": DAY_MS,
        "received_at": DAY_MS,
        "body_hash": HASH,
        "event_data": {},
    }
    return fields | changes


def test_any_order_and_number_of_copies_gives_the_same_bytes() -> None:
    log = random_log(3, events=400, sessions=1, clients=("acme",), span_ms=250_000)
    events = [WindowEvent.of(event) for event in log]
    expected = result_of(
        ("acme", "s-1", window_start(DAY_MS)), WindowAccumulator(events), engine="flink"
    ).encode()
    lines = [event.to_line() for event in events]
    for seed in range(5):
        shuffled = lines + random.Random(seed).sample(lines, 100)
        random.Random(seed).shuffle(shuffled)
        assert close("acme", "s-1", shuffled, DEFAULT_SIGNALS) == expected


def test_the_result_names_the_engine_and_counts_distinct_events() -> None:
    lines = [flink_line(record(event_id=name)) for name in ("a", "b", "a")]
    result = WindowResult.decode(close("acme", "s-1", lines, DEFAULT_SIGNALS))
    assert (result.engine, result.generation, result.revision) == ("flink", 0, 2)
    assert result.window == ("acme", "s-1", DAY_MS)


def test_an_extended_signal_table_is_used() -> None:
    lines = [flink_line(record(event_type="lesson.passed"))]
    raw = close("acme", "s-1", lines, SignalTable({"lesson.passed": 0.25}))
    assert WindowResult.decode(raw).observations[0].success_ppm == 250_000


def test_unfit_lines_are_left_out_and_the_rest_counts() -> None:
    fit = flink_line(record())
    lines = ["", "x", None, fit.replace(HASH, "no hash"), "\x1f" * 7, fit, fit + "\x1fmore"]
    assert close("acme", "s-1", lines, DEFAULT_SIGNALS) == close(
        "acme", "s-1", [fit], DEFAULT_SIGNALS
    )


def test_a_window_without_a_fit_line_has_no_result() -> None:
    assert close("acme", "s-1", ["rubbish"], DEFAULT_SIGNALS) is None
    assert close("acme", "s-1", [], DEFAULT_SIGNALS) is None


@pytest.mark.parametrize(
    ("client_id", "session_id"),
    [("", "s"), ("c" * 51, "s"), ("c", ""), ("c", "s" * 101), ("c\x00", "s"), ("c", "s\n")],
)
def test_a_window_of_unfit_names_has_no_result(client_id: str, session_id: str) -> None:
    assert close(client_id, session_id, [flink_line(record())], DEFAULT_SIGNALS) is None


# Short texts from a small alphabet that holds every kind of trouble, and texts at the limits.
_texts = st.text(alphabet="aZ é漢🙂\x00\x1e\x1f\x02\x7f\x85\t\n|", max_size=6) | st.sampled_from(
    ["x" * n for n in (49, 50, 51, 63, 64, 65, 99, 100, 101)]
)
_times = st.integers(-5, 5) | st.sampled_from(
    [codec.TIME_MS_MAX, codec.TIME_MS_MAX + 1, 10**15, 10**18]
)
_hashes = st.sampled_from([HASH, HASH[1:], HASH + "0", HASH.upper(), "z" * 32, ""])
_scores = st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1, 11)


@given(
    event_id=_texts,
    event_type=_texts,
    industry=st.none() | _texts,
    campaign_type=st.none() | _texts,
    event_time=_times,
    body_hash=_hashes,
    success=st.none() | st.booleans(),
    success_score=st.none() | _scores,
)
def test_a_line_counts_exactly_if_the_codec_accepts_its_fields(**fields: object) -> None:
    given_fields = {name: value for name, value in fields.items() if value is not None}
    fields_of_record = record(**given_fields)
    if NULL in (given_fields.get("industry"), given_fields.get("campaign_type")):
        return  # the one text that a line cannot tell from null
    try:
        event = codec.decode(json.dumps(fields_of_record).encode())
    except MalformedRecord:
        expected = None
    else:
        expected = WindowEvent.of(event)
    assert parse(flink_line(fields_of_record)) == expected


@given(st.floats(0, 10))
def test_a_score_travels_as_the_text_that_names_its_double(score: float) -> None:
    found = parse(flink_line(record(success_score=score)))
    assert found is not None
    assert found.success_score == score


@given(st.lists(st.text(), max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_no_line_and_no_name_can_raise(lines: list[str], client_id: str, session_id: str) -> None:
    close(client_id, session_id, lines, DEFAULT_SIGNALS)
