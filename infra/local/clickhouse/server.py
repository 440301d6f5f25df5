"""The socket side: HTTP/1.1 with kept-alive connections, one thread each."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO, cast

from infra import log
from infra.local.clickhouse.body import RawBody
from infra.local.clickhouse.errors import ClickHouseError, PortBusy
from infra.local.clickhouse.limits import Limits
from infra.local.clickhouse.service import Answer, Service

_DRAINED_BYTES_MAX = 67_108_864
_LOG = log.get("clickhouse")


class Server(ThreadingHTTPServer):
    """Listens at once; answers once `serve` is called with a service."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, limits: Limits) -> None:
        """Bind.

        Raises:
            PortBusy: somebody else listens there.
        """
        self.service: Service
        self.limits = limits
        self._places = threading.BoundedSemaphore(limits.connections_max)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True)
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise PortBusy(
                f"The address {host}:{port} cannot be listened on ({error.strerror}).",
                remedy="Stop what uses it, or choose another port: SAGESTREAM_CLICKHOUSE_PORT.",
            ) from error

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def serve(self, service: Service) -> None:
        """Answer from now on, on a thread of its own."""
        self.service = service
        self._thread.start()

    def stop(self) -> None:
        """Accept no more connections."""
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, *_about: Any) -> None:
        """A client that went away is no error of ours."""
        _LOG.debug("connection ended", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65_536
    server: Server

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.limits.idle_connection_s)

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_OPTIONS(self) -> None:
        self._send(Answer(204, b""))

    def _respond(self) -> None:
        body = RawBody(cast("BinaryIO", self.rfile), 0, chunked=False)
        try:
            body = self._body()
            # The engine decides how long a statement may take, not the socket.
            answer = self.server.service.answer(self.command, self.path, self.headers, body)
        except ClickHouseError as error:
            self.close_connection = True
            headers = {"X-ClickHouse-Exception-Code": str(error.code)}
            answer = Answer(error.status, f"{error}\n".encode(), headers)
        except (TimeoutError, ConnectionError):
            self.close_connection = True
            return
        except Exception:
            _LOG.error("request failed", exc_info=True)
            self.close_connection = True
            text = b"Code: 1001. DB::Exception: internal error, see the log (STD_EXCEPTION)\n"
            answer = Answer(500, text, {"X-ClickHouse-Exception-Code": "1001"})
        if not self.close_connection and not self._drained(body):
            self.close_connection = True
        self._send(answer)

    def _body(self) -> RawBody:
        source = cast("BinaryIO", self.rfile)
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            return RawBody(source, None, chunked=True)
        length = self.headers.get("Content-Length")
        if length is None:
            if self.command == "POST":
                raise ClickHouseError(
                    381,
                    "HTTP_LENGTH_REQUIRED",
                    "The Transfer-Encoding is not chunked and there is no Content-Length header"
                    " for POST request",
                )
            return RawBody(source, 0, chunked=False)
        if not (length.isascii() and length.isdigit()):
            raise ClickHouseError(36, "BAD_ARGUMENTS", "Content-Length is not a number")
        return RawBody(source, int(length), chunked=False)

    @staticmethod
    def _drained(body: RawBody) -> bool:
        try:
            return body.drain(_DRAINED_BYTES_MAX)
        except (OSError, ClickHouseError):
            return False

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        else:
            seconds = int(self.server.limits.idle_connection_s)
            self.send_header("Connection", "Keep-Alive")
            self.send_header("Keep-Alive", f"timeout={seconds}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def version_string(self) -> str:
        return "ClickHouse-embedded"

    def log_message(self, *_arguments: object) -> None:
        """Requests may hold passwords and data: they are not logged."""
