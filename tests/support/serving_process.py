"""The real serving process over a Postgres of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from storage.postgres.keys import KeyStore
from storage.postgres.pool import Pool
from tests.support.postgres import PostgresServer

ROOT = Path(__file__).resolve().parents[2]


def steady_port() -> int:
    """A free port below those the system gives to outgoing connections.

    A server that is stopped and started again finds it free: nobody got it in between.
    """
    for port in range(26_000, 26_100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port from 26000 to 26099 is free")


class ServingProcess:
    """`sagestream run serving` on a free port; `server` and `dsn` are its database."""

    def __init__(self, home: Path, server: PostgresServer, dsn: str) -> None:
        self.server = server
        self.dsn = dsn
        self.port = steady_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = home / "serving.log"
        self._environment = {
            **os.environ,
            "SAGESTREAM_HOME": str(home),
            "SAGESTREAM_POSTGRES_PORT": str(server.port),
            "SAGESTREAM_POSTGRES_USER": "postgres",
            "SAGESTREAM_POSTGRES_DATABASE": dsn.partition("dbname=")[2].split()[0],
            "SAGESTREAM_SERVING_PORT": str(self.port),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(base_url=self.url, timeout=10)

    def start(self) -> None:
        """Start, and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "infra.cli", "run", "serving"],
                cwd=ROOT,
                env=self._environment,
                stderr=log,
                stdout=log,
            )
        deadline = time.monotonic() + 30
        while self.status("/ready") != 200:
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)

    def terminate(self) -> None:
        """Ask it to stop."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        """Wait for the end."""
        assert self._process is not None
        code = self._process.wait(20)
        self._process = None
        return code

    def stop(self) -> None:
        if self._process is not None:
            self.terminate()
            self.exit_code()
        self._client.close()

    def status(self, path: str) -> int:
        """Status of a GET; 0 while nothing listens."""
        try:
            return self._client.get(path).status_code
        except httpx.TransportError:
            return 0

    def get(self, path: str, key: str | None = None) -> httpx.Response:
        return self._client.get(path, headers=_headers(key))

    def match(self, key: str | None, **body: Any) -> httpx.Response:
        return self._client.post("/v1/patterns/match", json=body, headers=_headers(key))

    def key(self, client_id: str, *scopes: str) -> str:
        """A fresh key of a tenant."""
        pool = Pool(self.dsn, name="test-keys")
        try:
            return KeyStore(pool).create(client_id, scopes or ("read",), "test")[1]
        finally:
            pool.close()


def _headers(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}
