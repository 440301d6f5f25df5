"""What happens to a window once it has closed. Pure; runs inside Flink's Python workers.

Records may come past the gateway, so a line counts only if `codec.decode` would have accepted
its fields: what one engine sees, every engine and store sees.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ingestion.events import codec
from ingestion.events.event import Event
from ingestion.events.facts import SCORE_MAX, Facts
from stream_jobs.patterns.accumulator import NULL, WindowAccumulator, WindowEvent
from stream_jobs.patterns.signals import SignalTable
from stream_jobs.patterns.window import window_start
from stream_jobs.patterns.window_result import result_of

ENGINE = "flink"
# A Kafka message must hold the result with its key and headers.
RESULT_BYTES_MAX = 4_000_000

# Nearly every line: printable ASCII, no length over the codec's limits, a plain number as score.
_ordinary = re.compile(
    "([ -~]{1,64})\x1f([0-9a-f]{32})\x1f([0-9]{1,15})\x1f([ -~]{1,50})"
    "\x1f(\x02|[ -~]{1,100})\x1f(\x02|[ -~]{1,100})"
    "\x1f(\x02|TRUE|FALSE|true|false)\x1f(\x02|[0-9]\\.[0-9]{1,17}|10\\.0)"
).fullmatch
_BOOLEANS = {NULL: None, "TRUE": True, "true": True, "FALSE": False, "false": False}
_is_ordinary_name = re.compile("[ -~]{1,50}").fullmatch


def close(
    client_id: str, session_id: str, lines: Iterable[str], signals: SignalTable
) -> bytes | None:
    """The encoded `WindowResult`; None when no line is fit or the result fits no message."""
    events = [event for line in lines if (event := parse(line)) is not None]
    if not events or not _are_names(client_id, session_id):
        return None
    window = (client_id, session_id, window_start(events[0].event_time))
    accumulator = WindowAccumulator(events)
    encoded = result_of(window, accumulator, engine=ENGINE, signals=signals).encode()
    return encoded if len(encoded) <= RESULT_BYTES_MAX else None


def parse(line: str | None) -> WindowEvent | None:
    """The event of a line, None unless the codec accepts such fields."""
    if line is None:
        return None
    found = _ordinary(line)
    if found is None:
        return _parse_extraordinary(line)
    event_id, body_hash, event_time, event_type, industry, campaign_type, success, score = (
        found.groups()
    )
    return WindowEvent(
        event_id,
        body_hash,
        int(event_time),
        event_type,
        None if industry == NULL else industry,
        None if campaign_type == NULL else campaign_type,
        _BOOLEANS[success],
        None if score == NULL else float(score),
    )


def _parse_extraordinary(line: str) -> WindowEvent | None:
    try:
        event = WindowEvent.from_line(line)
        if event.success_score is not None and not 0 <= event.success_score <= SCORE_MAX:
            return None
        codec.decode(codec.encode(_as_record(event, "c", "s")))
    except ValueError:
        return None
    return event


def _are_names(client_id: str, session_id: str) -> bool:
    if _is_ordinary_name(client_id) and _is_ordinary_name(session_id):
        return True
    try:
        codec.decode(codec.encode(_as_record(_ANY_EVENT, client_id, session_id)))
    except ValueError:
        return False
    return True


def _as_record(event: WindowEvent, client_id: str, session_id: str) -> Event:
    facts = Facts(event.industry, event.campaign_type, event.success, event.success_score)
    return Event(
        event.event_id,
        client_id,
        session_id,
        None,
        event.event_type,
        event.event_time,
        event.event_time,
        event.body_hash,
        facts,
        b"{}",
    )


_ANY_EVENT = WindowEvent("e", "0" * 32, 0, "t", None, None, None, None)
