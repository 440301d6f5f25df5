"""From raw records to one block of columns."""

from __future__ import annotations

from typing import Any

import pytest

from infra.kafka.consumer import ConsumedRecord
from ingestion.events.codec import encode, heartbeat
from storage.writers.analytics_block import Block, build
from stream_jobs.patterns.signals import SignalTable
from tests.support.builders import DAY_MS, event

SIGNALS = SignalTable()


def record(value: bytes | None, offset: int = 0, partition: int = 3) -> ConsumedRecord:
    return ConsumedRecord("learning-events", partition, offset, b"s-1", value, DAY_MS)


def column(block: Block, name: str) -> list[Any]:
    return list(next(column.values for column in block.columns if column.name == name))


def test_an_event_becomes_a_row_of_its_facts() -> None:
    sent = event(
        "e-1",
        event_type="offer.accepted",
        user_id="u-1",
        data={"industry": "media", "success_score": 7.5},
    )
    block = build([record(encode(sent), 41)], SIGNALS)
    row = {column.name: column.values[0] for column in block.columns}
    assert row["event_id"] == "e-1"
    assert row["user_id"] == "u-1"
    assert row["event_time"] == DAY_MS
    assert row["industry"] == "media"
    assert row["campaign_type"] is None
    assert row["success_score"] == 7.5
    assert row["event_data"] == sent.event_data
    assert row["body_hash"] == sent.body_hash.encode()
    assert (row["kafka_partition"], row["kafka_offset"]) == (3, 41)


@pytest.mark.parametrize(
    ("event_type", "data", "signal"),
    [
        ("view", {}, None),
        ("offer.accepted", {}, 1.0),
        ("offer.dismissed", {}, 0.0),
        ("view", {"success": False}, 0.0),
        ("view", {"success_score": 7.5}, 0.75),
    ],
)
def test_the_signal_is_the_detectors(event_type: str, data: dict[str, Any], signal: object) -> None:
    block = build([record(encode(event(event_type=event_type, data=data)))], SIGNALS)
    assert column(block, "signal") == [signal]


def test_heartbeats_are_left_out_and_their_offsets_counted() -> None:
    block = build([record(heartbeat(3, DAY_MS), 9)], SIGNALS)
    assert (block.inserted, block.heartbeats) == (0, 1)
    assert block.next_offsets == {("learning-events", 3): 10}


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff\xfe",
        b"[1]",
        b"{}",
        b"[" * 100_000,
        encode(event())[:-1],
        encode(event()).replace(b'"v":1', b'"v":2'),
        encode(event()).replace(b'"event_time":1767571200000', b'"event_time":1'),
        encode(event()).replace(b'"event_time":1767571200000', b'"event_time":"x"'),
        encode(event()).replace(b'"received_at":1767571200050', b'"received_at":99999999999999999'),
        encode(event()._replace(body_hash="zz")),
        encode(event()._replace(body_hash="A" * 32)),
        encode(event()._replace(event_id="")),
        encode(event()._replace(client_id="c" * 51)),
        encode(event()._replace(session_id="s" * 101)),
        encode(event()._replace(user_id="u" * 51)),
    ],
)
def test_what_no_gateway_let_in_is_skipped_and_counted(value: bytes | None) -> None:
    good = encode(event("good"))
    block = build([record(value, 5), record(good, 6)], SIGNALS)
    assert column(block, "event_id") == ["good"]
    assert block.fates == {"inserted": 1, "heartbeats": 0, "skipped": 1}
    assert block.next_offsets == {("learning-events", 3): 7}


def test_the_token_follows_from_the_places_alone() -> None:
    def token(*places: tuple[int, int]) -> str:
        records = [record(encode(event(f"e-{o}")), o, p) for p, o in places]
        return build(records, SIGNALS).token

    assert token((1, 5), (2, 8), (1, 6)) == token((2, 8), (1, 5), (1, 6))
    assert token((1, 5), (1, 6)) != token((1, 5), (1, 7))
    assert token((1, 5)) != token((2, 5))
