"""What the golden files hold: every form of ours that other processes or later versions read.

Inputs are written out in full, so that a golden file changes only when a form does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ingestion.events import codec
from ingestion.events.admission import admit
from ingestion.events.dead_letter import DeadLetter
from ingestion.events.event import Event
from stream_jobs.patterns.accumulator import WindowAccumulator, WindowEvent
from stream_jobs.patterns.embedding import embed
from stream_jobs.patterns.pattern_hash import pattern_hash
from stream_jobs.patterns.window_result import result_of

FILES = Path(__file__).parent / "files"
START_MS = 1_767_571_200_000  # 2026-01-05 00:00:00 UTC, the start of a window

_RAW = (
    {
        "event_id": "m-1",
        "session_id": "s-1",
        "user_id": "u-1",
        "event_type": "view",
        "timestamp": "2026-01-05T00:00:01.250Z",
        "event_data": {"industry": "retail", "campaign_type": "email", "page": '/a?b="c"\\'},
    },
    {
        "event_id": "m-2",
        "session_id": "s-1",
        "event_type": "Order Completed",
        "event_time": START_MS + 2_000,
        "event_data": {"success_score": 7.123456, "price": 1e21, "tiny": 1.5e-7, "n": -0.0},
    },
    {
        "event_id": "m-3",
        "session_id": "s-1",
        "event_type": "cafe\u0301.accepted",
        "event_time": START_MS + 2_000,
        "event_data": {"z": [1, None, {"y": "\u2028\U0001f600\x7f"}], "a": 2**63 - 1},
    },
    {"event_id": "m-4", "session_id": "s-1", "event_type": "like", "event_data": {"success": True}},
)
_PATTERNS = (
    ("retail", "email", ("view",)),
    ("retail", "email", ("view", "Order Completed", "like")),
    ("unknown", "caf\u00e9", ("a|b>c",)),
)


def events() -> list[Event]:
    return [
        admit(raw, client_id="acme", received_at=START_MS + 9_000, new_id=lambda: "-").event
        for raw in _RAW
    ]


def window() -> WindowAccumulator:
    return WindowAccumulator(map(WindowEvent.of, events()))


def _event_records() -> bytes:
    return b"\n".join([*map(codec.encode, events()), codec.heartbeat(3, START_MS)]) + b"\n"


def _window_message() -> bytes:
    return result_of(("acme", "s-1", START_MS), window(), engine="golden").encode() + b"\n"


def _pattern_hashes() -> bytes:
    lines = [json.dumps([*pattern, pattern_hash(*pattern)]) for pattern in _PATTERNS]
    return ("\n".join(lines) + "\n").encode()


def _embeddings() -> bytes:
    """Coordinates that are not zero, as exact hexadecimal floats."""
    lines = [
        json.dumps([*pattern, {int(i): float(v[i]).hex() for i in v.nonzero()[0]}])
        for pattern in _PATTERNS
        for v in [embed(*pattern)]
    ]
    return ("\n".join(lines) + "\n").encode()


def _dead_letter() -> bytes:
    letter = DeadLetter("learning-events", 7, 42, "not_json", "why", b"\x00\xff{", "c", None, 5)
    return letter.to_bytes() + b"\n"


CASES: dict[str, Callable[[], bytes]] = {
    "event_records.ndjson": _event_records,
    "accumulator.bin": lambda: window().to_bytes(),
    "window_message.json": _window_message,
    "pattern_hashes.ndjson": _pattern_hashes,
    "embeddings.ndjson": _embeddings,
    "dead_letter.json": _dead_letter,
}
