"""The parts every writer process is made of."""

from __future__ import annotations

from infra import metrics
from infra.clock import SystemClock
from infra.health import HealthServer
from infra.kafka.consumer import BatchConsumer
from infra.kafka.producer import Producer
from infra.settings import Settings
from infra.signals import stop_on_signals
from storage.postgres.pool import Connection, connect
from storage.writers.batch_loop import BatchLoop, Core, Pace
from storage.writers.outbox_relay import OutboxRelay


def run_writer(
    settings: Settings, core: Core, *, topic: str, health_port: int, clock: SystemClock
) -> int:
    """Run a writer until SIGTERM; returns the exit code."""
    group = core.group
    stopping = stop_on_signals()

    def open_connection() -> Connection:
        return connect(settings.postgres_dsn, name=group, vectors=True, replayable=True)

    producer = Producer(settings.kafka_bootstrap, client_id=f"{group}-outbox")
    relay = OutboxRelay(group, open_connection, producer.publish_and_wait, clock)
    loop = BatchLoop(
        core,
        connect=open_connection,
        committed=relay.wake,
        pace=Pace(settings.writer_batch_records_max, settings.writer_batch_wait_ms / 1000),
        clock=clock,
    )
    metrics.OUTBOX_ROWS.labels(group).set(0)
    try:
        with (
            HealthServer(
                settings.listen_host,
                health_port,
                lambda: {"batches": loop.trouble, "outbox": relay.trouble},
            ),
            relay,
        ):
            consumer = BatchConsumer(
                settings.kafka_bootstrap,
                group=group,
                topics=[topic],
                client_id=group,
                start_offsets=loop.start_offsets,
            )
            loop.run(consumer, stopping)
    finally:
        producer.close()
    return 0
