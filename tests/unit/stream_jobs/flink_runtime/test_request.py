"""A request that makes no sense is refused in one sentence that names the field."""

from __future__ import annotations

import json

import pytest

from stream_jobs.flink_runtime.errors import WrongRequest
from stream_jobs.flink_runtime.request import parse

GOOD = {
    "rest_url": "http://127.0.0.1:8081",
    "kafka_bootstrap": "127.0.0.1:9092",
    "parallelism": 2,
    "checkpoint_interval_ms": 10_000,
    "checkpoint_dir": "file:///tmp/checkpoints",
    "python_executable": "/usr/bin/python",
    "restore_path": None,
    "source_root": "/app",
}


def test_a_request_needs_no_more_than_where_things_are() -> None:
    request = parse(json.dumps(GOOD))
    assert request.rest_address == ("127.0.0.1", 8081)
    assert (request.events_topic, request.windows_topic) == ("learning-events", "session-windows")
    assert request.job_name == "sagestream-windows"


@pytest.mark.parametrize("field", sorted(set(GOOD) - {"restore_path"}))
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(WrongRequest, match=field):
        parse(json.dumps({k: v for k, v in GOOD.items() if k != field}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("parallelism", "2"),
        ("parallelism", 0),
        ("parallelism", True),
        ("checkpoint_interval_ms", -1),
        ("checkpoint_dir", "/tmp/checkpoints"),
        ("rest_url", "localhost"),
        ("rest_url", "http://localhost:port"),
        ("kafka_bootstrap", ""),
        ("restore_path", 5),
        ("surplus", 1),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    with pytest.raises(WrongRequest, match=field):
        parse(json.dumps(GOOD | {field: value}))


def test_a_wrong_success_signal_is_named() -> None:
    with pytest.raises(WrongRequest, match=r"lesson\.passed"):
        parse(json.dumps(GOOD | {"success_signals": {"lesson.passed": 2}}))


@pytest.mark.parametrize("raw", ["", "{", "[]", "null", "\xff"])
def test_what_is_not_a_json_object_is_refused(raw: str) -> None:
    with pytest.raises(WrongRequest, match="standard input"):
        parse(raw.encode("latin-1"))
