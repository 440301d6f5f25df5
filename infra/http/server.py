"""Run an App on a socket until SIGTERM; the only importer of the HTTP server library."""

from __future__ import annotations

import asyncio
import errno
import gc
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from infra import log
from infra.errors import CannotRun
from infra.http.app import App

# The library's own errors go where ours go; its own configuration would print to standard output.
_LIBRARY_LOG = {"handlers": {}, "loggers": {"_granian": {"propagate": True}}}
_GC_THRESHOLDS = (20_000, 20, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How connections are treated.

    `connections_max` counts open keep-alive connections, idle ones too: beyond it the server
    stops accepting. `header_read_timeout_s` also closes a connection that stays idle that long.
    """

    connections_max: int = 16_384
    backlog: int = 4_096
    header_read_timeout_s: float = 75.0
    shutdown_timeout_s: float = 15.0


def serve(app: App, host: str, port: int, options: ServerOptions | None = None) -> int:
    """Serve until SIGTERM or SIGINT, finish what is in flight, and return the exit code.

    Raises:
        CannotRun: the address cannot be listened on.
    """
    check_free(host, port)
    runner = asyncio.Runner(loop_factory=_loop_factory())
    with runner:
        return runner.run(_serve(app, host, port, options or ServerOptions()))


def check_free(host: str, port: int) -> None:
    """The server shares ports between processes, so a second one would silently take half."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise CannotRun(
                f"Cannot listen on {host}:{port} ({error.strerror}).",
                remedy="Stop what uses the port, or set another one."
                if taken
                else "Set SAGESTREAM_LISTEN_HOST to an address of this machine.",
            ) from None


async def _serve(app: App, host: str, port: int, options: ServerOptions) -> int:
    logger = log.get("http")
    async with app.lifespan():
        server = _server(app, host, port, options)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            server.interrupt_signal = True
            server.main_loop_interrupt.set()

        # What is loaded by now lives as long as the process: looking at it again and again for
        # garbage costs a tenth of the throughput.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        logger.info("listening", host=host, port=port)
        try:
            await server.serve()
        finally:
            logger.info("stopping")
            try:
                async with asyncio.timeout(options.shutdown_timeout_s):
                    await app.until_idle()
            except TimeoutError:
                logger.warning("requests were still running when the process stopped")
    return 0 if server.interrupt_signal else 1


def _server(app: App, host: str, port: int, options: ServerOptions) -> Server:
    return Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=options.backlog,
        backpressure=options.connections_max,
        http1_settings=HTTP1Settings(
            header_read_timeout=int(options.header_read_timeout_s * 1000),
            max_buffer_size=262_144,
        ),
        log_level=LogLevels.error,
        log_dictconfig=_LIBRARY_LOG,
    )


def _loop_factory() -> Callable[[], Any] | None:
    """uvloop where it is installed; the standard loop does the same more slowly."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], Any] = uvloop.new_event_loop
    return factory
