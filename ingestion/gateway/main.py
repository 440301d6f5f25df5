"""The ingestion gateway: events in over HTTP, acknowledged when the log holds them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from infra import log
from infra.clock import Clock, SystemClock
from infra.errors import CannotRun
from infra.http import App, Limits
from infra.http.keys import FindKey, KeyCache
from infra.http.probes import openapi_route, probe_routes
from infra.http.server import serve
from infra.kafka.admin import KafkaAdmin
from infra.kafka.loop_producer import LoopProducer
from infra.settings import Settings
from ingestion.gateway.event_log import EventLog
from ingestion.gateway.heartbeat import Heartbeats, LogEnds
from ingestion.gateway.ids import uuid7
from ingestion.gateway.routes import EventRoutes
from storage.postgres.keys import KeyStore
from storage.postgres.pool import Pool

_KEY_WAIT_S = 2.0


def main(settings: Settings) -> int:
    """Run until SIGTERM; returns the exit code."""
    log.configure("gateway", settings.log_level)
    if settings.gateway_workers != 1:
        raise CannotRun(
            "One gateway is one process.",
            remedy="Set SAGESTREAM_GATEWAY_WORKERS=1 and start more gateways on other ports.",
        )
    pool = Pool(settings.postgres_dsn, name="gateway", connections_max=2, wait_s=_KEY_WAIT_S)
    app = build(settings, SystemClock(), KeyStore(pool).find)
    return serve(app, settings.listen_host, settings.gateway_port)


def build(settings: Settings, clock: Clock, find_key: FindKey) -> App:
    """Keys from `find_key` (blocking), events to Kafka, heartbeats beside them."""
    keys = KeyCache(find_key, clock=clock, refresh_ms=settings.key_refresh_ms)
    producer = LoopProducer(
        settings.kafka_bootstrap,
        client_id="sagestream-gateway",
        linger_ms=settings.producer_linger_ms,
        timeout_ms=settings.ack_timeout_ms,
    )
    event_log = EventLog(producer, clock)
    ends = LogEnds(lambda: KafkaAdmin(settings.kafka_bootstrap))
    heartbeats = Heartbeats(producer, ends, clock, settings.heartbeat_idle_ms)
    routes = EventRoutes(
        event_log,
        clock=clock,
        new_id=lambda: uuid7(clock.now_ms(), os.urandom(10)),
        events_max=settings.batch_events_max,
    ).routes()
    probes = probe_routes(
        required=lambda: {"kafka": event_log.trouble or heartbeats.trouble},
        degraded=lambda: {"keys": keys.trouble},
    )
    page = openapi_route(routes, title="Sagestream ingestion gateway", version="1")

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        beating = asyncio.create_task(heartbeats.run())
        yield
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
        await producer.close()
        keys.close()

    return App(
        [*routes, *probes, page],
        process="gateway",
        limits=Limits(body_bytes_max=settings.body_bytes_max),
        authenticator=keys,
        lifespan=lifespan,
        clock=clock,
    )
