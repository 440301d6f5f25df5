"""`sagestream run late-repair`."""

from __future__ import annotations

from infra.clock import SystemClock
from infra.health import HealthServer
from infra.kafka.consumer import BatchConsumer
from infra.kafka.producer import Producer
from infra.settings import Settings
from infra.signals import stop_on_signals
from infra.topics import LATE_EVENTS
from storage.postgres.pool import Pool
from stream_jobs.late_repair.process import GROUP, LateRepair
from stream_jobs.patterns.signals import SignalTable


def main(settings: Settings) -> int:
    """Count the windows of late events again until told to stop."""
    stopping = stop_on_signals()
    signals = SignalTable(settings.success_signals)
    pool = Pool(settings.postgres_dsn, name=GROUP, connections_max=1)
    producer = Producer(settings.kafka_bootstrap, client_id=GROUP)
    repair = LateRepair(pool, producer, signals, SystemClock())
    try:
        with HealthServer(
            settings.listen_host,
            settings.late_repair_health_port,
            lambda: {"repair": repair.trouble},
        ):
            consumer = BatchConsumer(
                settings.kafka_bootstrap,
                group=GROUP,
                topics=[LATE_EVENTS.name],
                client_id=GROUP,
            )
            repair.run(consumer, stopping)
    finally:
        producer.close()
        pool.close()
    return 0
