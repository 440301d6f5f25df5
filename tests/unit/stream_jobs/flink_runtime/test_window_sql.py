"""What the SQL must say, read as text; tests/integration/test_flink_job.py runs it."""

from __future__ import annotations

import re

from stream_jobs.flink_runtime import window_sql
from stream_jobs.patterns.accumulator import WindowEvent
from stream_jobs.patterns.watermark import OUT_OF_ORDERNESS_MS, PartitionWatermark
from stream_jobs.patterns.window import WINDOW_SIZE_MS


def source() -> str:
    return window_sql.source_table("broker:9092", "events", "group", 2)


def test_flink_fires_a_window_at_the_moment_our_watermark_reaches_its_end() -> None:
    """Flink fires once its watermark is end − 1; ours says late once it is end."""
    found = re.search(r"INTERVAL '([0-9.]+)' SECOND", source())
    assert found is not None
    delay_ms = round(float(found[1]) * 1000)
    end = 7 * WINDOW_SIZE_MS
    for time in range(end + OUT_OF_ORDERNESS_MS - 3, end + OUT_OF_ORDERNESS_MS + 4):
        ours = PartitionWatermark()
        ours.advance(time, time)
        assert ours.is_late(end - 1) == (time - delay_ms >= end - 1)


def test_the_window_is_as_long_as_ours() -> None:
    found = re.search(r"SIZE => INTERVAL '(\d+)' SECOND\((\d+)\)", window_sql.insert_windows())
    assert found is not None
    assert int(found[1]) * 1000 == WINDOW_SIZE_MS
    assert len(found[1]) <= int(found[2])


def test_lines_have_the_fields_of_a_window_event_in_order() -> None:
    found = re.search(r"CONCAT_WS\(U&'\\001F', (.*?)\) AS line", window_sql.insert_windows(), re.S)
    assert found is not None
    names = re.findall(r"\b([a-z_]+)\b", found[1])
    assert tuple(names) == WindowEvent._fields


def test_no_wall_clock_decides_anything() -> None:
    text = (source() + window_sql.insert_windows()).lower()
    assert "idle" not in text
    assert "proctime" not in text
    assert "current_" not in text


def test_a_fresh_job_reads_from_the_earliest_record() -> None:
    assert "'scan.startup.mode' = 'earliest-offset'" in source()


def test_heartbeats_move_the_clock_and_enter_no_window() -> None:
    assert "_heartbeat" not in source()
    assert "event_type <> '_heartbeat'" in window_sql.insert_windows()


def test_the_sink_confirms_records_and_takes_the_largest_message() -> None:
    sink = window_sql.sink_table("broker:9092", "windows")
    assert "'sink.delivery-guarantee' = 'at-least-once'" in sink
    assert f"'properties.max.request.size' = '{window_sql.MESSAGE_BYTES_MAX}'" in sink


def test_a_quote_in_an_option_stays_inside_it() -> None:
    assert "'topic' = 'it''s'" in window_sql.sink_table("b", "it's")
