"""`sagestream run analytics-writer`."""

from __future__ import annotations

from infra.clock import SystemClock
from infra.health import HealthServer
from infra.kafka.consumer import BatchConsumer
from infra.settings import Settings
from infra.signals import stop_on_signals
from infra.topics import LEARNING_EVENTS
from storage.clickhouse.client import ClickHouse
from storage.writers.analytics_writer import GROUP, AnalyticsWriter
from stream_jobs.patterns.signals import SignalTable


def main(settings: Settings) -> int:
    """Store learning-events in ClickHouse until told to stop.

    Raises:
        CannotRun: a setting is wrong, or ClickHouse refuses our statements.
    """
    stopping = stop_on_signals()
    signals = SignalTable(settings.success_signals)
    store = ClickHouse(settings)
    consumer = BatchConsumer(
        settings.kafka_bootstrap,
        group=GROUP,
        topics=[LEARNING_EVENTS.name],
        client_id=GROUP,
    )
    writer = AnalyticsWriter(store, consumer, signals, SystemClock())
    try:
        with HealthServer(
            settings.listen_host,
            settings.analytics_writer_health_port,
            lambda: {"batches": writer.trouble},
        ):
            writer.run(stopping)
    finally:
        consumer.close()
        store.close()
    return 0
