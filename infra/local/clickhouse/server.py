"""The HTTP listener: a thread a connection, one engine."""

from __future__ import annotations

import json
import socket
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from infra.local.clickhouse import statement, wire
from infra.local.clickhouse.engine import Engine, Result
from infra.local.clickhouse.errors import EngineError
from infra.local.clickhouse.users import Users

_CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "Native": "application/octet-stream",
}
_READ_TIMEOUT_S = 600


class Server(ThreadingHTTPServer):
    """Listens until `shutdown`; `server_close` waits for the statements under way."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, engine: Engine, users: Users, database: str) -> None:
        self.engine = engine
        self.users = users
        self.database = database
        self._sockets: set[socket.socket] = set()
        super().__init__((host, port), Handler)

    def close_idle(self) -> None:
        """End kept-alive connections, so that their threads end too; answers still go out."""
        for connection in list(self._sockets):
            try:
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                continue

    def opened(self, connection: socket.socket) -> None:
        self._sockets.add(connection)

    def closed(self, connection: socket.socket) -> None:
        self._sockets.discard(connection)


class Handler(BaseHTTPRequestHandler):
    """One connection of one client."""

    protocol_version = "HTTP/1.1"
    timeout = _READ_TIMEOUT_S
    disable_nagle_algorithm = True
    wbufsize = 65_536
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path in ("/ping", "/replicas_status") or (path == "/" and "query=" not in self.path):
            self._send(200, b"Ok.\n", {"Content-Type": "text/html; charset=UTF-8"})
        else:
            self._answer(read_only=True)

    def do_HEAD(self) -> None:
        self._send(200, b"", {})

    def do_POST(self) -> None:
        self._answer(read_only=False)

    def log_message(self, *_arguments: object) -> None:
        """Statements may hold personal data: nothing is logged per request."""

    def _answer(self, *, read_only: bool) -> None:
        query_id = str(uuid.uuid4())
        try:
            parts = urlsplit(self.path)
            if parts.path not in ("/", ""):
                raise EngineError(60, f"There is no handler {parts.path[:64]}; use /, /ping.")
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = wire.unpack(self._body(), headers.get("content-encoding", "").lower())
            call = wire.parse(parts.query, headers, body, self.server.database)
            query_id = call.query_id or query_id
            chosen = statement.output_format(call.head, call.default_format)
            result = self._run(call, chosen, read_only)
        except EngineError as error:
            self._refuse(error, query_id)
            return
        self._send(
            200,
            wire.pack(result.data, call.encoding),
            {
                "Content-Type": _CONTENT_TYPES.get(chosen, "text/plain; charset=UTF-8"),
                "X-ClickHouse-Query-Id": query_id,
                "X-ClickHouse-Format": chosen,
                "X-ClickHouse-Timezone": self.server.engine.timezone,
                "X-ClickHouse-Server-Display-Name": "sagestream-embedded",
                "X-ClickHouse-Summary": _summary(result),
                **({"Content-Encoding": call.encoding} if call.encoding else {}),
            },
        )

    def _run(self, call: wire.Call, chosen: str, read_only: bool) -> Result:
        user = self.server.users.authenticate(call.user, call.password)
        statement.check(call.head, trusted=not user.read_only)
        return self.server.engine.run(
            call.statement,
            output_format=chosen,
            user=user,
            database=call.database,
            settings=call.settings,
            parameters=call.parameters,
            read_only=read_only,
        )

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            self.close_connection = True
            raise EngineError(36, "Content-Length is not a number.") from None
        if not 0 <= length <= wire.BODY_BYTES_MAX:
            self.close_connection = True
            raise EngineError(307, f"The body is larger than {wire.BODY_BYTES_MAX} bytes.")
        return self.rfile.read(length)

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        total = 0
        while True:
            try:
                size = int(self.rfile.readline(64).split(b";")[0].strip(), 16)
            except ValueError:
                self.close_connection = True
                raise EngineError(36, "The chunked body is malformed.") from None
            total += size
            if size < 0 or total > wire.BODY_BYTES_MAX:
                self.close_connection = True
                raise EngineError(307, f"The body is larger than {wire.BODY_BYTES_MAX} bytes.")
            if size == 0:
                while self.rfile.readline(65_536).strip():
                    continue
                return b"".join(parts)
            parts.append(self.rfile.read(size))
            self.rfile.readline(64)

    def _refuse(self, error: EngineError, query_id: str) -> None:
        self._send(
            error.status,
            f"{error.text} (version {self.server.engine.version})\n".encode(),
            {
                "Content-Type": "text/plain; charset=UTF-8",
                "X-ClickHouse-Query-Id": query_id,
                "X-ClickHouse-Exception-Code": str(error.code),
            },
        )

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value.replace("\r", " ").replace("\n", " "))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True


def _summary(result: Result) -> str:
    return json.dumps(
        {
            "read_rows": str(result.rows_read),
            "read_bytes": str(result.bytes_read),
            "written_rows": str(result.rows_written),
            "elapsed_ns": str(round(result.elapsed_s * 1e9)),
        }
    )
