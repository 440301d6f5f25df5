"""`sagestream topics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from infra.cli.output import Json, console, print_json, print_table
from infra.errors import RetryLater

if TYPE_CHECKING:
    from infra.clock import Clock
    from infra.kafka.admin import KafkaAdmin
    from infra.kafka.consumer import PartitionKey

_T = TypeVar("_T")
_ATTEMPTS = 6


def command(as_json: Json = False) -> None:
    """List topics: partitions, retention, records kept, and who is how far behind.

    Lag is counted in records, from the offsets each consumer group told Kafka.

    Example: sagestream topics --json
    """
    from infra import settings
    from infra.clock import SystemClock
    from infra.kafka.admin import KafkaAdmin

    loaded = settings.load()
    _require_answer(loaded.kafka_bootstrap)
    admin = KafkaAdmin(loaded.kafka_bootstrap)
    found = _patiently(lambda: _look(admin), SystemClock())
    if as_json:
        print_json(found)
        return
    rows = [
        (
            row["topic"] if row["exists"] else f"[red]{row['topic']} (missing)[/]",
            row["partitions"],
            f"{row['retention_days']:g} d",
            f"{sum(row['end_offsets'].values()):,}",
            f"{row['records_kept']:,}",
            ", ".join(f"{group} {lag:,}" for group, lag in row["lag"].items()) or "-",
        )
        for row in found
    ]
    print_table("", ("topic", "PARTITIONS", "RETENTION", "WRITTEN", "KEPT", "lag"), rows)
    console().print("[dim]written = end offsets added up; lag in records, per consumer group[/]")


def _look(admin: KafkaAdmin) -> list[dict[str, Any]]:
    """One entry per topic of the platform."""
    from infra.topics import ALL_TOPICS

    present = admin.topic_partitions()
    there = [topic for topic in ALL_TOPICS if topic.name in present]
    ends, starts = admin.end_offsets(there), admin.first_offsets(there)
    groups = {group: admin.group_offsets(group) for group in admin.groups()}
    return [
        {
            "topic": topic.name,
            "exists": topic.name in present,
            "partitions": topic.partitions,
            "retention_days": round(topic.retention_ms / 86_400_000, 2),
            "end_offsets": _of(ends, topic.name),
            "records_kept": sum(_of(ends, topic.name).values())
            - sum(_of(starts, topic.name).values()),
            "lag": _lag(topic.name, ends, groups),
            "meaning": topic.meaning,
        }
        for topic in ALL_TOPICS
    ]


def _require_answer(bootstrap: str) -> None:
    """Fail at once, not after the client's long patience, when nobody listens."""
    from infra.local.ports import accepts
    from infra.local.processes import Listener

    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        if accepts(Listener(int(port), "kafka_port", host)):
            return
    raise RetryLater(
        f"Nothing answers at {bootstrap}, where Kafka should be.",
        remedy="Run `sagestream status`, then `sagestream up` to start what is missing.",
    )


def _patiently(look: Callable[[], _T], clock: Clock) -> _T:
    """Partitions of a new topic have no leader for a moment: ask again a few times."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return look()
        except RetryLater:
            clock.sleep(0.5)
    return look()


def _of(offsets: dict[PartitionKey, int], topic: str) -> dict[int, int]:
    """Partition → offset, of one topic."""
    return {p: offset for (name, p), offset in sorted(offsets.items()) if name == topic}


def _lag(
    topic: str, ends: dict[PartitionKey, int], groups: dict[str, dict[PartitionKey, int]]
) -> dict[str, int]:
    """Group → records behind, for the groups that read the topic at all."""
    lag = {}
    for group, offsets in groups.items():
        if any(name == topic for name, _ in offsets):
            of_topic = {key: end for key, end in ends.items() if key[0] == topic}
            # A partition without a committed offset has been read from its start or not at all.
            lag[group] = sum(max(end - offsets.get(key, 0), 0) for key, end in of_topic.items())
    return lag
