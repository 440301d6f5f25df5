"""The hot path makes the bytes that the reference makes, or steps aside."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.events.canonical import canonical_json
from ingestion.events.errors import MalformedJson
from ingestion.events.strict_json import loads_strict
from ingestion.gateway import quick
from ingestion.gateway.batch import Batch, Intake
from tests.unit.ingestion.gateway import json_text

SEEDS = st.integers(0, 2**32)
NOW_MS = 1_795_400_000_000
INTAKE = Intake("acme", NOW_MS, lambda: "made-here")


def told(batch: Batch) -> dict[str, Any]:
    return {
        "records": batch.records,
        "event_ids": batch.event_ids,
        "made": batch.made,
        "wrong_type_keys": batch.wrong_type_keys,
        "refusals": [
            (refusal.place, str(refusal.error), refusal.error.code, refusal.error.event_id)
            for refusal in batch.refusals
        ],
    }


def by_reference(body: bytes) -> Batch:
    batch = Batch()
    value = loads_strict(body)
    for index, raw in enumerate(value if isinstance(value, list) else [value]):
        batch.add(index, raw, INTAKE)
    return batch


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_one_event_is_the_same_on_both_roads(seed: int) -> None:
    rng = Random(seed)
    for _ in range(40):
        body = json_text.event(rng).encode()
        batch = quick.read_quickly(body, False, INTAKE, 10)
        if batch is not None:
            assert told(batch) == told(by_reference(body)), body


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_many_events_are_the_same_on_both_roads(seed: int) -> None:
    rng = Random(seed)
    for count in (2, 3, 40):
        body = f"[{','.join(json_text.event(rng) for _ in range(count))}]".encode()
        batch = quick.read_quickly(body, False, INTAKE, 100)
        if batch is not None:
            assert told(batch) == told(by_reference(body)), body


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_lines_are_the_same_as_an_array(seed: int) -> None:
    rng = Random(seed)
    for _ in range(10):
        texts = [json_text.event(rng).replace("\n", " ").replace("\r", " ") for _ in range(3)]
        batch = quick.read_quickly("\n".join(texts).encode(), True, INTAKE, 100)
        if batch is not None:
            assert told(batch) == told(by_reference(f"[{','.join(texts)}]".encode())), texts


def test_enough_events_of_these_tests_take_the_hot_path() -> None:
    rng = Random(1)
    bodies = [json_text.event(rng).encode() for _ in range(300)]
    taken = [quick.read_quickly(body, False, INTAKE, 1) is not None for body in bodies]
    assert sum(taken) > 50


@given(st.floats(quick.FLOAT_MIN, quick.FLOAT_MAX, exclude_max=True))
def test_floats_in_range_are_written_alike_by_both_writers(value: float) -> None:
    assert quick._SORTED(value) == canonical_json(value)
    assert quick._SORTED(-value) == canonical_json(-value)


@given(
    st.dictionaries(st.text(), st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans()),
)
def test_texts_and_integers_are_written_alike_by_both_writers(value: dict[str, Any]) -> None:
    assert quick._SORTED(value) == canonical_json(value)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"industry": "retail", "campaign_type": "email", "success_score": 8.7, "n": 3, "x": None},
        {"success": False, "success_score": 0.0, "delta": -1.5},
        {"objectives": ["reach", {"deep": [1, 2.5]}]},
        {"title": '日本語, "quoted": yes\n'},
        {"success_score": 12},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_ordinary_events_take_the_hot_path(
    data: dict[str, Any], indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = {
        "event_id": "e-1",
        "session_id": "s-1",
        "user_id": "u-1",
        "event_type": "Order Completed",
        "timestamp": "2026-11-20T10:00:00.123+01:00",
        "event_data": data,
    }
    body = json.dumps([event, event], indent=indent).encode()
    expected = told(by_reference(body))
    monkeypatch.setattr(Batch, "add", None)
    batch = quick.read_quickly(body, False, INTAKE, 10)
    assert batch is not None
    assert told(batch) == expected


def test_an_event_without_an_id_gets_one_and_is_marked() -> None:
    body = (
        b'[{"session_id":"s","event_type":"a"},{"session_id":"s","event_type":"a","event_id":"x"}]'
    )
    batch = quick.read_quickly(body, False, INTAKE, 10)
    assert batch is not None
    assert (batch.event_ids, batch.made) == (["made-here", "x"], [0])


@pytest.mark.parametrize(
    "body",
    [
        b'{"session_id":"s","event_type":"a","session_id":"t"}',
        b'{"session_id":"s","event_type":"a","event_data":{"x":1,"x":2}}',
        b'{"session_id":"s","event_type":"a","event_data":{"x":{"y":1,"y":2}}}',
        b'{"session_id":"s","event_type":"a","event_data":{"x":"\\u0000"}}',
        b'{"session_id":"s","event_type":"a","more":1}',
        b'{"session_id":"s"}',
        b"[",
        b"",
        b"3",
    ],
)
def test_what_only_the_reference_can_judge_is_left_to_it(body: bytes) -> None:
    assert quick.read_quickly(body, False, INTAKE, 10) is None


def test_too_many_events_are_left_to_the_reference() -> None:
    body = b"[" + b",".join([b'{"session_id":"s","event_type":"a"}'] * 3) + b"]"
    assert quick.read_quickly(body, False, INTAKE, 2) is None


def test_the_reference_refuses_what_the_hot_path_leaves() -> None:
    with pytest.raises(MalformedJson):
        by_reference(b'{"session_id":"s","event_type":"a","session_id":"t"}')
