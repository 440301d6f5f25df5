"""The job as SQL text: read and judge records, group them into windows, hand windows to Python.

Per event everything happens in generated Java code; a window's events travel as the lines of
`WindowEvent.to_line` until the window has closed.
"""

from __future__ import annotations

from collections.abc import Mapping

from ingestion.events.codec import RECORD_VERSION, TIME_MS_MAX
from ingestion.events.event import HEARTBEAT_TYPE
from stream_jobs.patterns.accumulator import FIELD_SEPARATOR, NULL
from stream_jobs.patterns.watermark import OUT_OF_ORDERNESS_MS
from stream_jobs.patterns.window import WINDOW_SIZE_MS

SOURCE = "learning_events"
SINK = "session_windows"
CLOSE_WINDOW = "close_window"
MESSAGE_BYTES_MAX = 4_194_304

# Flink closes [start, end) when its watermark reaches end − 1; ours closes it at end.
_DELAY_S = (OUT_OF_ORDERNESS_MS + 1) / 1000


def source_table(bootstrap: str, topic: str, group: str, parallelism: int) -> str:
    """The log. `event_data` is never parsed: its row type only says whether it is an object.

    Times and facts are read as the text they have in the record: Flink would take "yes" for
    false and 1.5 for 1, and a number's own text names its double exactly. A record that lacks a
    required field, or has one that cannot be read as its type, gets no `ts`: it neither moves
    the clock nor enters a window. There is no idle timeout: heartbeats move quiet partitions.
    """
    options = {
        "connector": "kafka",
        "topic": topic,
        "properties.bootstrap.servers": bootstrap,
        "properties.group.id": group,
        "properties.client.id.prefix": group,
        # A fresh job reads everything that is kept; a restored one goes on from its checkpoint.
        "scan.startup.mode": "earliest-offset",
        "scan.parallelism": str(parallelism),
        "format": "json",
        "json.ignore-parse-errors": "true",
    }
    return f"""
        CREATE TABLE {SOURCE} (
            v INT,
            event_id STRING,
            client_id STRING,
            session_id STRING,
            event_type STRING,
            event_time STRING,
            received_at STRING,
            body_hash STRING,
            industry STRING,
            campaign_type STRING,
            success STRING,
            success_score STRING,
            event_data ROW<`-` INT>,
            ts AS CASE WHEN {_USABLE} THEN TO_TIMESTAMP_LTZ({_ms("event_time")}, 3) END,
            WATERMARK FOR ts AS
                LEAST(ts, TO_TIMESTAMP_LTZ({_ms("received_at")}, 3))
                - INTERVAL '{_DELAY_S:.3f}' SECOND
        ) WITH ({_with(options)})"""


def sink_table(bootstrap: str, topic: str) -> str:
    """The topic of window results: raw key and value, placed as every Kafka client places keys."""
    options = {
        "connector": "kafka",
        "topic": topic,
        "properties.bootstrap.servers": bootstrap,
        "properties.acks": "all",
        "properties.enable.idempotence": "true",
        "properties.compression.type": "snappy",
        "properties.linger.ms": "5",
        "properties.batch.size": "131072",
        "properties.max.request.size": str(MESSAGE_BYTES_MAX),
        "sink.delivery-guarantee": "at-least-once",
        "sink.partitioner": "default",
        "key.format": "raw",
        "key.fields": "window_key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
    }
    return f"""
        CREATE TABLE {SINK} (window_key STRING, window_result BYTES) WITH ({_with(options)})"""


def insert_windows() -> str:
    """One row per closed window; windows in which no event was fit have no result."""
    return f"""
        INSERT INTO {SINK}
        SELECT window_key, window_result
        FROM (
            SELECT
                client_id || '|' || session_id AS window_key,
                {CLOSE_WINDOW}(client_id, session_id, lines) AS window_result
            FROM (
                SELECT client_id, session_id, ARRAY_AGG(line) AS lines
                FROM TUMBLE(
                    DATA => (
                        SELECT client_id, session_id, ts, {_LINE} AS line
                        FROM {SOURCE}
                        WHERE ts IS NOT NULL AND event_type <> '{HEARTBEAT_TYPE}'
                    ),
                    TIMECOL => DESCRIPTOR(ts),
                    SIZE => INTERVAL '{WINDOW_SIZE_MS // 1000}' SECOND({len(str(WINDOW_SIZE_MS))})
                )
                GROUP BY client_id, session_id, window_start, window_end
            )
        )
        WHERE window_result IS NOT NULL"""  # noqa: S608 -- every part is a constant of ours


def _with(options: Mapping[str, str]) -> str:
    return ", ".join(f"'{name}' = '{_quoted(value)}'" for name, value in options.items())


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _control(character: str) -> str:
    """A control character as an SQL literal."""
    return f"U&'\\{ord(character):04X}'"


def _ms(name: str) -> str:
    return f"TRY_CAST({name} AS BIGINT)"


_USABLE = " AND ".join(
    (
        f"v = {RECORD_VERSION}",
        *(f"{name} IS NOT NULL" for name in ("event_id", "client_id", "session_id", "event_type")),
        *(
            f"{_ms(name)} BETWEEN 0 AND {TIME_MS_MAX} AND {name} NOT LIKE '%.%'"
            for name in ("event_time", "received_at")
        ),
        "body_hash IS NOT NULL",
        "event_data IS NOT NULL",
    )
)

_LINE = "CONCAT_WS({}, {})".format(
    _control(FIELD_SEPARATOR),
    ", ".join(
        (
            "event_id",
            "body_hash",
            "event_time",
            "event_type",
            *(
                f"COALESCE({value}, {_control(NULL)})"
                for value in ("industry", "campaign_type", "success", "success_score")
            ),
        )
    ),
)
