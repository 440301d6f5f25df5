"""The peer: PyFlink's DataStream API as its documentation shows it, in process mode.

keyBy → tumbling event-time window → AggregateFunction, and the same `detect` on the closed
window. Runs with the Python of .venv-flink; reads one JSON object on standard input.

Settings are the documented best for throughput: large bundles, object reuse, a state cache that
holds every open window, declared types instead of pickle between operators. The clock comes from
the Kafka record timestamps, per partition and in Java, so no Python runs for watermarks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from os import environ
from typing import Any

environ.setdefault("FLINK_HOME", next(iter(find_spec("pyflink").submodule_search_locations)))  # type: ignore[union-attr,arg-type]
environ["_python_worker_execution_mode"] = "process"

from pyflink.common import Configuration, Duration, Time, Types, WatermarkStrategy
from pyflink.common.serialization import SimpleStringSchema
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import (
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaSink,
    KafkaSource,
)
from pyflink.datastream.functions import AggregateFunction, ProcessWindowFunction
from pyflink.datastream.window import TumblingEventTimeWindows

BEST_SETTINGS = {
    "pipeline.object-reuse": "true",
    "python.execution-mode": "process",
    "python.fn-execution.bundle.size": "100000",
    "python.fn-execution.bundle.time": "1000",
    "python.state.cache.size": "100000",
    "python.map-state.read-cache.size": "100000",
    "python.map-state.write-cache.size": "100000",
}
_EVENT = Types.TUPLE([Types.STRING(), Types.STRING(), Types.STRING()])


def lines_of(raw: str) -> Iterable[tuple[str, str, str]]:
    """(client, session, line) of an event; nothing for heartbeats and for what is no event."""
    try:
        fields = json.loads(raw)
        if fields["event_type"] == "_heartbeat":
            return
        success = fields.get("success")
        score = fields.get("success_score")
        yield (
            fields["client_id"],
            fields["session_id"],
            "\x1f".join(
                (
                    fields["event_id"],
                    fields["body_hash"],
                    str(fields["event_time"]),
                    fields["event_type"],
                    fields.get("industry", "\x02"),
                    fields.get("campaign_type", "\x02"),
                    "\x02" if success is None else ("true" if success else "false"),
                    "\x02" if score is None else repr(score),
                )
            ),
        )
    except (ValueError, KeyError, TypeError):
        return


class Collect(AggregateFunction):  # type: ignore[misc]
    """The lines of a window, once per event id."""

    def create_accumulator(self) -> dict[str, str]:
        return {}

    def add(self, value: tuple[str, str, str], accumulator: dict[str, str]) -> dict[str, str]:
        line = value[2]
        accumulator.setdefault(line[: line.index("\x1f")], line)
        return accumulator

    def get_result(self, accumulator: dict[str, str]) -> list[str]:
        return list(accumulator.values())

    def merge(self, a: dict[str, str], b: dict[str, str]) -> dict[str, str]:
        return {**a, **b}


class Close(ProcessWindowFunction):  # type: ignore[misc]
    """The closed window through our own detection."""

    def process(
        self, key: tuple[str, str], context: Any, elements: Iterable[list[str]]
    ) -> Iterable[str]:
        del context
        from stream_jobs.flink_runtime.closed_window import close
        from stream_jobs.patterns.signals import DEFAULT_SIGNALS

        for lines in elements:
            result = close(key[0], key[1], lines, DEFAULT_SIGNALS)
            if result is not None:
                yield result.decode()


def submit(request: dict[str, Any]) -> str:
    """Start the job; returns its id."""
    configuration = Configuration()
    for name, value in {**BEST_SETTINGS, **request["cluster"]}.items():
        configuration.set_string(name, str(value))
    environment = StreamExecutionEnvironment.get_execution_environment(configuration)
    # get_execution_environment made it a local one: the target has to be told again.
    environment._j_stream_execution_environment.getConfiguration().setString(
        "execution.target", "remote"
    )
    source = (
        KafkaSource.builder()
        .set_bootstrap_servers(request["kafka_bootstrap"])
        .set_topics(request["events_topic"])
        .set_group_id("bench-peer")
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_value_only_deserializer(SimpleStringSchema())
        .build()
    )
    sink = (
        KafkaSink.builder()
        .set_bootstrap_servers(request["kafka_bootstrap"])
        .set_record_serializer(
            KafkaRecordSerializationSchema.builder()
            .set_topic(request["windows_topic"])
            .set_value_serialization_schema(SimpleStringSchema())
            .build()
        )
        .set_property("compression.type", "snappy")
        .set_property("linger.ms", "5")
        .set_delivery_guarantee(DeliveryGuarantee.AT_LEAST_ONCE)
        .build()
    )
    clock = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(5))
    (
        environment.from_source(source, clock, "events")
        .flat_map(lines_of, output_type=_EVENT)
        .key_by(lambda e: (e[0], e[1]), key_type=Types.TUPLE([Types.STRING(), Types.STRING()]))
        .window(TumblingEventTimeWindows.of(Time.minutes(5)))
        .aggregate(
            Collect(),
            window_function=Close(),
            accumulator_type=Types.PICKLED_BYTE_ARRAY(),
            output_type=Types.STRING(),
        )
        .sink_to(sink)
    )
    return str(environment.execute_async("bench-peer-datastream").get_job_id())


if __name__ == "__main__":
    print(json.dumps({"job_id": submit(json.load(sys.stdin))}))
