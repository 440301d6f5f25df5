"""The parts of the local platform and who waits for whom; read this first."""

from __future__ import annotations

from infra.local.flink import JobManager, TaskManager
from infra.local.flink_job import FlinkJob
from infra.local.kafka import Jars, Kafka, Topics
from infra.local.parts import Context, Part
from infra.local.postgres import Postgres
from infra.local.services import Migrations, Service
from infra.local.valkey import Valkey

_STORES = ("topics", "migrate-postgres")


def parts(context: Context) -> dict[str, Part]:
    """Every part by name, infrastructure first."""

    def service(name: str, *needs: str) -> Service:
        port = f"{name.replace('-', '_')}_health_port"
        return Service(context, name, port_setting=port, needs=needs)

    found = (
        Jars(context),
        Kafka(context),
        Postgres(context),
        Valkey(context),
        Service(context, "clickhouse", port_setting="clickhouse_port", ready_path="/ping"),
        JobManager(context),
        TaskManager(context),
        Topics(context),
        Migrations(context, "postgres"),
        Migrations(context, "clickhouse"),
        Service(context, "gateway", port_setting="gateway_port", needs=_STORES),
        service("event-writer", *_STORES),
        service("analytics-writer", "topics", "migrate-clickhouse"),
        service("pattern-writer", *_STORES),
        service("late-repair", *_STORES),
        Service(
            context, "serving", port_setting="serving_port", needs=("migrate-postgres", "valkey")
        ),
        FlinkJob(context),
    )
    return {part.name: part for part in found}
