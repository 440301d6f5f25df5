"""The stand-in for ClickHouse as a process of its own, for integration tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx

from infra.settings import Settings
from tests.support.platform import wait_for

ROOT = Path(__file__).resolve().parents[2]
WRITER = ("sagestream", "writer-password")
ANALYST = ("analyst", "analyst-password")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ClickHouseProcess:
    """One stand-in on its own folder and port; may be killed and started again."""

    def __init__(self, home: Path, port: int | None = None) -> None:
        self.home = home
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = home / "clickhouse.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Settings:
        return Settings(
            home=self.home,
            clickhouse_port=self.port,
            clickhouse_password=WRITER[1],  # type: ignore[arg-type]
            clickhouse_analyst_password=ANALYST[1],  # type: ignore[arg-type]
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def launch(self) -> subprocess.Popen[bytes]:
        """Start without waiting for readiness."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SAGESTREAM_")
        } | {
            "SAGESTREAM_HOME": str(self.home),
            "SAGESTREAM_CLICKHOUSE_PORT": str(self.port),
            "SAGESTREAM_CLICKHOUSE_PASSWORD": WRITER[1],
            "SAGESTREAM_CLICKHOUSE_ANALYST_PASSWORD": ANALYST[1],
        }
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "infra.cli", "run", "clickhouse"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> None:
        process = self._process = self.launch()

        def answers() -> bool:
            assert process.poll() is None, self.log.read_text()
            try:
                return httpx.get(f"{self.url}ping", timeout=5).text == "Ok.\n"
            except httpx.TransportError:
                return False

        wait_for("the ClickHouse stand-in to answer", answers)

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)
        self._process = None

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        self._process = None
        return code

    def client(self, account: tuple[str, str] = WRITER, **options: Any) -> Any:
        """An unmodified clickhouse-connect client."""
        return clickhouse_connect.get_client(
            host="127.0.0.1",
            port=self.port,
            username=account[0],
            password=account[1],
            **{"database": "sagestream", **options},
        )

    def post(
        self,
        statement: str | bytes,
        account: tuple[str, str] = WRITER,
        *,
        headers: dict[str, str] | None = None,
        **parameters: str,
    ) -> httpx.Response:
        """What curl would do."""
        return httpx.post(
            self.url,
            content=statement,
            params=parameters,
            auth=account,
            headers=headers,
            timeout=180,
        )
