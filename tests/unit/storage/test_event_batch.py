"""From raw records to what the event writer stores."""

from __future__ import annotations

import json

import pytest

from infra.topics import LEARNING_EVENTS
from ingestion.events.codec import encode
from storage.postgres.offsets import Position
from storage.writers.event_batch import EventBatch, prepare
from stream_jobs.patterns.watermark import OUT_OF_ORDERNESS_MS
from stream_jobs.patterns.window import WINDOW_SIZE_MS
from tests.support.builders import DAY_MS, event
from tests.support.kafka_log import MemoryLog

TOPIC = LEARNING_EVENTS.name
COVERAGE = (DAY_MS - 400 * 86_400_000, DAY_MS + 400 * 86_400_000)


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(TOPIC, 2)


def batch_of(
    log: MemoryLog, positions: dict[tuple[str, int], Position] | None = None
) -> EventBatch:
    records = [record for partition in log.partitions for record in partition]
    return prepare(records, positions or {}, coverage=COVERAGE, at_ms=1)


def late_flags(batch: EventBatch) -> dict[str, bool]:
    return {key[1]: copies[0].late for key, copies in batch.copies.items()}


def test_every_record_has_a_count_or_a_copy(log: MemoryLog) -> None:
    log.append(encode(event("e-1")))
    log.append(b"not json")
    log.heartbeat(DAY_MS)
    batch = batch_of(log)
    count = batch.counts[TOPIC, 0]
    assert (count.records, count.heartbeats, count.dead_letters) == (3, 1, 1)
    assert list(batch.copies) == [("acme", "e-1")]
    assert batch.after == {(TOPIC, 0): Position(3, DAY_MS - OUT_OF_ORDERNESS_MS)}


#   window W                         | window W+1
#   [W ............................. W+5min)
#                                    ^ end of W
# An event of W is late when the watermark has reached the end of W: equality counts.
@pytest.mark.parametrize(("past_end_ms", "late"), [(-1, False), (0, True), (1, True)])
def test_an_event_is_late_when_the_watermark_has_reached_the_end_of_its_window(
    log: MemoryLog, past_end_ms: int, late: bool
) -> None:
    clock = DAY_MS + WINDOW_SIZE_MS + OUT_OF_ORDERNESS_MS + past_end_ms
    log.append(encode(event("mover", at_ms=clock)))
    log.append(encode(event("tested", at_ms=DAY_MS + 1)))
    assert late_flags(batch_of(log))["tested"] is late


def test_a_heartbeat_moves_the_clock_of_its_partition_only(log: MemoryLog) -> None:
    log.heartbeat(DAY_MS + 2 * WINDOW_SIZE_MS, partition=0)
    log.append(encode(event("same")), partition=0)
    log.append(encode(event("other")), partition=1)
    assert late_flags(batch_of(log)) == {"same": True, "other": False}


def test_the_clock_goes_on_where_the_last_batch_left_it(log: MemoryLog) -> None:
    log.append(encode(event("e-1")))
    saved = {(TOPIC, 0): Position(0, DAY_MS + WINDOW_SIZE_MS)}
    assert late_flags(batch_of(log, saved)) == {"e-1": True}


def test_a_sender_whose_clock_runs_ahead_makes_nobody_late(log: MemoryLog) -> None:
    log.append(encode(event("ahead", at_ms=DAY_MS + 3_600_000, received_at=DAY_MS)))
    log.append(encode(event("e-1")))
    assert late_flags(batch_of(log))["e-1"] is False


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "empty"),
        (b"", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"v":2}', "unknown_version"),
        (b'{"v":1}', "missing_field"),
        (b"[" * 100_000, "not_json"),
    ],
)
def test_what_cannot_be_decoded_is_a_dead_letter_with_its_place_and_bytes(
    log: MemoryLog, raw: bytes | None, reason: str
) -> None:
    log.append(encode(event("before")))
    log.append(raw)
    log.append(encode(event("after")))
    batch = batch_of(log)
    (letter,) = batch.letters
    assert (letter.topic, letter.partition, letter.offset) == (TOPIC, 0, 1)
    assert (letter.reason, letter.raw) == (reason, raw or b"")
    assert {key[1] for key in batch.copies} == {"before", "after"}


def test_an_event_outside_the_months_kept_is_a_dead_letter(log: MemoryLog) -> None:
    log.append(encode(event("old", at_ms=DAY_MS)).replace(str(DAY_MS).encode(), b"12345", 1))
    (letter,) = batch_of(log).letters
    assert (letter.reason, letter.event_id) == ("out_of_range", "old")


def test_a_refused_record_with_times_moves_the_clock_as_it_may_have_moved_an_engines(
    log: MemoryLog,
) -> None:
    ahead = DAY_MS + 2 * WINDOW_SIZE_MS
    log.append(json.dumps({"v": 1, "event_time": ahead, "received_at": ahead}).encode())
    log.append(encode(event("e-1")))
    batch = batch_of(log)
    assert batch.letters[0].reason == "missing_field"
    assert late_flags(batch) == {"e-1": True}


def test_absurd_times_do_not_move_the_clock(log: MemoryLog) -> None:
    for absurd in (10**30, -(10**30), 2**63):
        log.append(json.dumps({"v": 1, "event_time": absurd, "received_at": absurd}).encode())
    log.append(encode(event("e-1")))
    batch = batch_of(log)
    assert late_flags(batch) == {"e-1": False}
    assert batch.after[TOPIC, 0].watermark_ms == DAY_MS - OUT_OF_ORDERNESS_MS
