"""A taken port is told with its part, its holder and the setting that moves it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from infra.local import ports
from infra.local.processes import Listener


@pytest.fixture
def taken() -> Iterator[Listener]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield Listener(server.getsockname()[1], "kafka_port")


def test_a_listening_port_is_not_free(taken: Listener) -> None:
    assert not ports.is_free(taken)
    assert ports.accepts(taken)


def test_a_closed_port_is_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        listener = Listener(server.getsockname()[1], "kafka_port")

    assert ports.is_free(listener)
    assert not ports.accepts(listener)


def test_the_holder_is_named_by_pid(taken: Listener) -> None:
    assert f"pid {os.getpid()} " in ports.holder(taken.port)


def test_the_conflict_is_one_sentence_with_a_way_out() -> None:
    error = ports.conflict("kafka", Listener(18092, "kafka_port"), "pid 7 (java)")

    assert error.message == (
        "kafka cannot listen on 127.0.0.1:18092: the port is taken by pid 7 (java)."
    )
    assert "SAGESTREAM_KAFKA_PORT" in error.remedy


def test_an_unknown_holder_is_left_out() -> None:
    error = ports.conflict("kafka", Listener(18092, "kafka_port"), "")

    assert "taken." in error.message
