"""The server on a real socket: limits that only a socket shows, and a graceful stop."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from infra.errors import CannotRun
from infra.http.server import check_free

pytestmark = pytest.mark.integration

_SERVER = """
import asyncio, sys
from infra import log
from infra.http import App, Limits, Request, Response, Route
from infra.http.server import ServerOptions, serve

async def slow(request: Request) -> Response:
    print("begun", flush=True)
    await asyncio.sleep(0.5)
    return Response(200, b"done")

async def echo(request: Request) -> Response:
    return Response(200, str(len(request.body)).encode())

async def hello(request: Request) -> Response:
    return Response(200, b"hello")

app = App(
    [
        Route(method="GET", path="/hello", handler=hello, scope=None),
        Route(method="GET", path="/slow", handler=slow, scope=None),
        Route(method="POST", path="/echo", handler=echo, scope=None, content_types=()),
    ],
    process="test",
    limits=Limits(body_bytes_max=1_000_000),
)
log.configure("test", "info")
sys.exit(serve(app, "127.0.0.1", int(sys.argv[1]), ServerOptions(header_read_timeout_s=0.5)))
"""


class Served:
    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(self.port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = f"http://127.0.0.1:{self.port}"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("the server did not start")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    server = Served()
    yield server
    assert server.stop() == 0


def test_answers_carry_a_request_id_and_no_cors_header(served: Served) -> None:
    headers = {"Origin": "https://elsewhere.example"}
    answer = httpx.get(f"{served.url}/hello", headers=headers)
    assert answer.text == "hello"
    assert answer.headers["x-request-id"]
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_ten_megabyte_body_is_413_with_and_without_a_length(served: Served) -> None:
    body = b"x" * 10_000_000
    declared = httpx.post(f"{served.url}/echo", content=body)
    chunked = httpx.post(f"{served.url}/echo", content=iter([body]))
    assert (declared.status_code, chunked.status_code) == (413, 413)


def test_a_chunked_body_within_the_limit_arrives_whole(served: Served) -> None:
    chunks = iter([b"x" * 1000] * 500)
    assert httpx.post(f"{served.url}/echo", content=chunks).text == "500000"


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: nonsense",
        "Transfer-Encoding: nonsense",
    ],
)
def test_a_request_that_could_be_read_two_ways_is_refused(served: Served, head: str) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as raw:
        raw.sendall(f"POST /echo HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\nhello!".encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 400")


def test_a_connection_that_sends_no_whole_head_is_closed(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
        raw.sendall(b"GET /hello HTTP/1.1\r\nHost:")
        while raw.recv(4096):
            pass


def test_a_connection_can_be_used_again(served: Served) -> None:
    with httpx.Client() as client:
        assert {client.get(f"{served.url}/hello").status_code for _ in range(20)} == {200}


def test_a_stop_finishes_the_request_in_flight() -> None:
    server = Served()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
            raw.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            assert server.process.stdout is not None
            assert server.process.stdout.readline() == "begun\n"
            assert server.stop() == 0
            answer = raw.recv(4096)
    finally:
        server.process.kill()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"done")


def test_a_second_process_on_the_same_port_is_told_so(served: Served) -> None:
    with pytest.raises(CannotRun, match="in use"):
        check_free("127.0.0.1", served.port)


def test_an_address_of_another_machine_is_told_apart() -> None:
    with pytest.raises(CannotRun, match="SAGESTREAM_LISTEN_HOST"):
        check_free("192.0.2.1", 8080)
