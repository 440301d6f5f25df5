"""Sending a file: batches, refusals by line, patience with a gateway that is away."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from infra.cli.event_sender import (
    BATCH_EVENTS,
    EventSender,
    GatewayAway,
    KeyRefused,
    Line,
    Report,
    batches,
    read_lines,
    with_id,
)
from infra.clock import ManualClock


class FakeGateway:
    """Answers like the gateway with `partial=true`; events named `bad` are refused."""

    def __init__(self) -> None:
        self.requests: list[list[bytes]] = []
        self.unavailable_times = 0
        self.status: int | None = None
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = gateway.answer(body.split(b"\n"))
                encoded = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, lines: list[bytes]) -> tuple[int, dict[str, Any]]:
        self.requests.append(lines)
        if self.status is not None:
            return self.status, {"message": "This request needs a valid API key."}
        if self.unavailable_times > 0:
            self.unavailable_times -= 1
            return 503, {"code": "unavailable", "message": "Kafka is away."}
        try:
            events = [json.loads(line) for line in lines]
        except ValueError:
            return 400, {"code": "malformed_json", "message": "The body cannot be read."}
        bad = [index for index, event in enumerate(events) if event["event_type"] == "bad"]
        fates = [
            {"index": i, "result": "refused", "field": "event_type", "reason": "is bad"}
            if i in bad
            else {"index": i, "result": "accepted"}
            for i in range(len(events))
        ]
        if len(bad) == len(events):
            return 400, {"code": "invalid_events", "errors": fates}
        return 200, {"accepted": len(events) - len(bad), "results": fates}


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    gateway = FakeGateway()
    yield gateway
    gateway.server.shutdown()
    gateway.server.server_close()


def send(gateway: FakeGateway, lines: list[bytes]) -> Report:
    ids = iter(range(10_000))
    sender = EventSender(gateway.url, "ssk_x", ManualClock(), lambda: f"id-{next(ids)}")
    return sender.send(read_lines(lines), lambda _report: None)


def event(event_type: str = "view") -> bytes:
    return json.dumps({"event_id": "e", "session_id": "s", "event_type": event_type}).encode()


def test_lines_are_numbered_as_in_the_file_and_blank_ones_skipped() -> None:
    assert list(read_lines([b"{}\n", b"\n", b" [] \n"])) == [Line(1, b"{}"), Line(3, b"[]")]


def test_a_batch_holds_at_most_500_events() -> None:
    sizes = [len(batch) for batch in batches(Line(n, b"{}") for n in range(1, 1202))]

    assert sizes == [BATCH_EVENTS, BATCH_EVENTS, 201]


def test_long_lines_make_smaller_batches() -> None:
    lines = [Line(n, b"x" * 3_000_000) for n in range(3)]

    assert [len(batch) for batch in batches(lines)] == [1, 1, 1]


def test_an_event_without_an_id_gets_one() -> None:
    assert json.loads(with_id(b'{"a":1}', lambda: "new")) == {"event_id": "new", "a": 1}
    assert json.loads(with_id(b"{ }", lambda: "new")) == {"event_id": "new"}


def test_an_event_with_an_id_is_sent_as_written() -> None:
    assert with_id(b'{"event_id":"mine"}', lambda: "new") == b'{"event_id":"mine"}'


def test_everything_good_is_accepted(gateway: FakeGateway) -> None:
    report = send(gateway, [event()] * 501)

    assert (report.accepted, report.rejected) == (501, 0)
    assert [len(request) for request in gateway.requests] == [500, 1]


def test_a_refused_event_is_told_by_its_line(gateway: FakeGateway) -> None:
    report = send(gateway, [event(), b"", event("bad"), event()])

    assert report.accepted == 2
    assert [(r.line, r.field, r.reason) for r in report.rejections] == [(3, "event_type", "is bad")]


def test_a_batch_refused_whole_is_told_line_by_line(gateway: FakeGateway) -> None:
    report = send(gateway, [event("bad"), event("bad")])

    assert report.accepted == 0
    assert [rejection.line for rejection in report.rejections] == [1, 2]


def test_one_broken_line_does_not_spoil_the_others(gateway: FakeGateway) -> None:
    report = send(gateway, [event()] * 6 + [b'{"half'] + [event()] * 9)

    assert report.accepted == 15
    assert [rejection.line for rejection in report.rejections] == [7]


def test_an_unavailable_gateway_is_asked_again_with_the_same_ids(gateway: FakeGateway) -> None:
    gateway.unavailable_times = 2

    report = send(gateway, [b'{"session_id":"s","event_type":"view"}'])

    assert report.accepted == 1
    assert len(gateway.requests) == 3
    assert gateway.requests[0] == gateway.requests[2]


def test_a_gateway_that_stays_away_ends_with_what_was_accepted(gateway: FakeGateway) -> None:
    gateway.unavailable_times = 99

    with pytest.raises(GatewayAway, match=r"Kafka is away\).* 0 events were accepted") as caught:
        send(gateway, [event()])

    assert caught.value.exit_code == 3


def test_a_wrong_key_is_wrong_use(gateway: FakeGateway) -> None:
    gateway.status = 401

    with pytest.raises(KeyRefused) as caught:
        send(gateway, [event()])

    assert caught.value.exit_code == 2
