"""What happens to a window once it has closed. Pure; runs inside Flink's Python workers.

Records may come past the gateway, so a line counts only if `codec.decode` accepts such fields:
what one engine sees, every engine and store sees.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ingestion.events.admission import (
    EVENT_ID_CHARS_MAX,
    EVENT_TYPE_CHARS_MAX,
    SESSION_ID_CHARS_MAX,
)
from ingestion.events.codec import CLIENT_ID_CHARS_MAX, TIME_MS_MAX
from ingestion.events.facts import LABEL_CHARS_MAX, SCORE_MAX
from stream_jobs.patterns.accumulator import (
    FIELD_SEPARATOR,
    NULL,
    WindowAccumulator,
    WindowEvent,
)
from stream_jobs.patterns.signals import SignalTable
from stream_jobs.patterns.window import window_start
from stream_jobs.patterns.window_result import result_of

ENGINE = "flink"
# A Kafka message must hold the result with its key and headers.
RESULT_BYTES_MAX = 4_000_000


def _text(chars_max: int) -> str:
    """Text as the codec wants it: no control characters, no lone surrogates."""
    return f"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{chars_max}}}"


_BOOLEANS = {NULL: None, "true": True, "false": False}
# One look at the whole line instead of a look at every field.
_fields_of = re.compile(
    FIELD_SEPARATOR.join(
        (
            f"({_text(EVENT_ID_CHARS_MAX)})",
            "([0-9a-f]{32})",
            "([0-9]{1,15})",
            f"({_text(EVENT_TYPE_CHARS_MAX)})",
            f"({NULL}|{_text(LABEL_CHARS_MAX)})",
            f"({NULL}|{_text(LABEL_CHARS_MAX)})",
            f"({'|'.join(_BOOLEANS)})",
            f"({NULL}|-?[0-9][0-9.eE+-]*)",
        )
    )
).fullmatch
_is_client = re.compile(_text(CLIENT_ID_CHARS_MAX)).fullmatch
_is_session = re.compile(_text(SESSION_ID_CHARS_MAX)).fullmatch


def close(
    client_id: str, session_id: str, lines: Iterable[str | None], signals: SignalTable
) -> bytes | None:
    """The encoded `WindowResult`; None when no line is fit."""
    events = [event for line in lines if (event := parse(line)) is not None]
    if not events or not _is_client(client_id) or not _is_session(session_id):
        return None
    window = (client_id, session_id, window_start(events[0].event_time))
    return result_of(window, WindowAccumulator(events), engine=ENGINE, signals=signals).encode()


def parse(line: str | None) -> WindowEvent | None:
    """The event of a line, None unless the codec accepts such fields."""
    found = None if line is None else _fields_of(line)
    if found is None:
        return None
    event_id, body_hash, time, event_type, industry, campaign_type, success, text = found.groups()
    event_time = int(time)
    score: float | None = None
    if text != NULL:
        try:
            score = float(text)
        except ValueError:
            return None
        if not 0 <= score <= SCORE_MAX:
            return None
    if event_time > TIME_MS_MAX:
        return None
    return WindowEvent(
        event_id,
        body_hash,
        event_time,
        event_type,
        None if industry == NULL else industry,
        None if campaign_type == NULL else campaign_type,
        _BOOLEANS[success],
        score,
    )
