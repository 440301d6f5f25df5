"""The serving process, part by part."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra import log
from infra.clock import Clock, SystemClock
from infra.http import App, Limits
from infra.http.keys import KeyCache
from infra.http.server import serve
from infra.settings import Settings
from serving.read_path import ReadPath
from serving.routes import operations, patterns
from serving.routes.contract import with_contract
from serving.store_calls import StoreCalls
from storage.postgres.keys import KeyStore
from storage.postgres.pool import Pool

_STORE_THREADS = 8
# The key cache has threads of its own: unknown keys never hold up answers to known ones.
_KEY_CONNECTIONS = 2
_STORE_WAIT_S = 1.0
_STATEMENT_TIMEOUT_MS = 5_000
_LIMITS = Limits(body_bytes_max=65_536, inflight_bytes_max=67_108_864)


def main(settings: Settings) -> int:
    """Serve until SIGTERM; returns the exit code."""
    log.configure("serving", settings.log_level)
    pool = Pool(
        settings.postgres_dsn,
        name="serving",
        connections_max=_STORE_THREADS + _KEY_CONNECTIONS,
        wait_s=_STORE_WAIT_S,
        statement_timeout_ms=_STATEMENT_TIMEOUT_MS,
        vectors=True,
        plan_once=True,
    )
    try:
        app = build_app(settings, pool, SystemClock())
        return serve(app, settings.listen_host, settings.serving_port)
    finally:
        pool.close()


def build_app(settings: Settings, pool: Pool, clock: Clock) -> App:
    """Every route, over one pool."""
    calls = StoreCalls(pool, threads=_STORE_THREADS)
    keys = KeyCache(KeyStore(pool).find, clock=clock, refresh_ms=settings.key_refresh_ms)
    read_path = ReadPath(calls, clock, shared_min_clients=settings.shared_min_clients)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        try:
            yield
        finally:
            calls.close()
            keys.close()

    return App(
        with_contract(
            (
                *patterns.routes(read_path, clock),
                *operations.routes({"postgres": read_path.trouble}),
            )
        ),
        process="serving",
        limits=_LIMITS,
        authenticator=keys,
        lifespan=lifespan,
        clock=clock,
    )
