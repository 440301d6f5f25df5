"""Count windows again from the store. Pure but for the reader that is handed in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from infra.kafka.consumer import ConsumedRecord
from infra.kafka.producer import Record
from infra.topics import DEAD_LETTERS, SESSION_WINDOWS
from ingestion.events.admission import SESSION_ID_CHARS_MAX
from ingestion.events.codec import CLIENT_ID_CHARS_MAX, TIME_MS_MAX
from ingestion.events.dead_letter import DeadLetter
from ingestion.events.values import control_in, text_is_whole
from stream_jobs.patterns.accumulator import WindowAccumulator, WindowEvent
from stream_jobs.patterns.signals import SignalTable
from stream_jobs.patterns.window import window_start
from stream_jobs.patterns.window_result import result_of

ENGINE = "late-repair"
# No engine publishes a result that a Kafka message cannot hold with its key and headers.
RESULT_BYTES_MAX = 4_000_000
Window = tuple[str, str, int]
# Windows → (generation, all stored events), as of one moment.
ReadWindows = Callable[[Sequence[Window]], Mapping[Window, tuple[int, list[WindowEvent]]]]


@dataclass(slots=True)
class Batch:
    """A batch of late records, coalesced: each window once, however many events came late."""

    windows: list[Window] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)


def coalesce(records: Iterable[ConsumedRecord], at_ms: int) -> Batch:
    """The distinct windows that the records name; what names none becomes a dead letter."""
    windows: dict[Window, None] = {}
    batch = Batch()
    for record in records:
        try:
            windows[window_of(record.value)] = None
        except ValueError as error:
            batch.letters.append(
                DeadLetter(
                    record.topic,
                    record.partition,
                    record.offset,
                    "not_a_late_record",
                    str(error)[:200],
                    record.value or b"",
                    None,
                    None,
                    at_ms,
                )
            )
    batch.windows = list(windows)
    return batch


def window_of(value: bytes | None) -> Window:
    """The window that a record of `learning-events.late` names.

    Raises:
        ValueError: it names none; says why.
    """
    try:
        fields = json.loads(value or b"")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if type(fields) is not dict:
        raise ValueError("not a JSON object")
    client_id, session_id, start = (
        fields.get(name) for name in ("client_id", "session_id", "window_start")
    )
    if type(client_id) is not str or type(session_id) is not str or type(start) is not int:
        raise ValueError("client_id, session_id or window_start is missing or of the wrong type")
    if start != window_start(start) or not 0 <= start <= TIME_MS_MAX:
        raise ValueError("window_start is not the start of a window")
    for name, chars_max in ((client_id, CLIENT_ID_CHARS_MAX), (session_id, SESSION_ID_CHARS_MAX)):
        # Postgres refuses NUL and lone surrogates, and with them the whole batch.
        if not 0 < len(name) <= chars_max or control_in(name) or not text_is_whole(name):
            raise ValueError("client_id or session_id is not a name that an event can have")
    return client_id, session_id, start


def recount(windows: Sequence[Window], read: ReadWindows, signals: SignalTable) -> list[Record]:
    """One message for `session-windows` per window, from every event that is stored for it.

    A window without events is told as empty only if events were taken out of it (its generation
    has been raised); else nothing was ever stored for it and there is nothing to tell.
    """
    records = []
    for window, (generation, events) in read(windows).items():
        if not events and not generation:
            continue
        result = result_of(
            window,
            WindowAccumulator(events),
            engine=ENGINE,
            generation=generation,
            signals=signals,
        )
        encoded = result.encode()
        if len(encoded) <= RESULT_BYTES_MAX:
            records.append(Record(SESSION_WINDOWS.name, result.key(), encoded))
    return records


def as_records(letters: Iterable[DeadLetter]) -> list[Record]:
    return [Record(DEAD_LETTERS.name, None, letter.to_bytes()) for letter in letters]
