"""`/health`, `/ready` and `/metrics` for processes that serve nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

# What a process says of itself: name of a dependency or step → None when well, else the trouble.
Readiness = Callable[[], dict[str, str | None]]


def ready_body(checks: dict[str, str | None]) -> tuple[bool, bytes]:
    """(ready, JSON body) of a readiness answer."""
    degraded = {name: trouble for name, trouble in checks.items() if trouble}
    body = {"ready": not degraded, "degraded": degraded}
    return not degraded, json.dumps(body, sort_keys=True).encode()


class HealthServer:
    """A small HTTP server on its own thread; start and stop around the process's main loop."""

    def __init__(self, host: str, port: int, readiness: Readiness) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                if self.path == "/health":
                    self._answer(200, "application/json", b'{"alive": true}')
                elif self.path == "/ready":
                    ready, body = ready_body(readiness())
                    self._answer(200 if ready else 503, "application/json", body)
                elif self.path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
                else:
                    self._answer(404, "text/plain", b"/health, /ready or /metrics\n")

            def _answer(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Probes are not worth a log line."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> HealthServer:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
