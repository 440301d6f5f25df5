"""librdkafka settings, all set by hand: its defaults lose, duplicate or misplace records.

Defaults replaced, and why: idempotence is off; the partitioner is CRC32, which disagrees with
every Java client (Flink, Spark) about where a key lives; offsets are stored and committed
before the record is handled.
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]


def producer_config(bootstrap: str, client_id: str, linger_ms: int, timeout_ms: int) -> Config:
    """At-least-once, ordered per partition; `timeout_ms` bounds the wait for a report."""
    return {
        "bootstrap.servers": bootstrap,
        "client.id": client_id,
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "compression.type": "snappy",
        "linger.ms": linger_ms,
        "batch.size": 524_288,
        "message.timeout.ms": timeout_ms,
        "queue.buffering.max.messages": 400_000,
        "queue.buffering.max.kbytes": 262_144,
        "message.max.bytes": 4_194_304,
        "socket.nagle.disable": True,
        "reconnect.backoff.max.ms": 1_000,
        "delivery.report.only.error": False,
        "log_level": 2,
    }


def consumer_config(bootstrap: str, group: str, client_id: str) -> Config:
    """Offsets move only when the caller says so; a new group starts at the earliest record."""
    return {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "client.id": client_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "range",
        "isolation.level": "read_committed",
        "session.timeout.ms": 10_000,
        "heartbeat.interval.ms": 2_000,
        "max.poll.interval.ms": 300_000,
        "fetch.wait.max.ms": 50,
        "queued.max.messages.kbytes": 65_536,
        "reconnect.backoff.max.ms": 1_000,
        "topic.metadata.refresh.interval.ms": 30_000,
        "log_level": 2,
    }


def admin_config(bootstrap: str) -> Config:
    # Whoever asks is told of errors by exceptions; the library's own lines would repeat them.
    return {"bootstrap.servers": bootstrap, "log_level": 0, "socket.timeout.ms": 10_000}
