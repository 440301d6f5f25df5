"""The one catalogue of metrics: name, unit, labels, meaning.

Names start with `sagestream_`, hold base units, and counters end in `_total`. Labels come from
closed sets only (route template, reason, topic, partition, tier), never from user input.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# HTTP (gateway and serving)
HTTP_REQUESTS = Counter(
    "sagestream_http_requests_total", "Requests answered", ["process", "route", "status"]
)
HTTP_SECONDS = Histogram(
    "sagestream_http_request_seconds",
    "From the whole request read to the answer ready",
    ["process", "route"],
    buckets=_LATENCY_S,
)

# Gateway
EVENTS_ACCEPTED = Counter(
    "sagestream_ingest_events_accepted_total",
    "Events acknowledged, by where they lie",
    ["durability"],
)
EVENTS_REFUSED = Counter(
    "sagestream_ingest_events_refused_total", "Events refused at the door", ["reason"]
)
EVENT_WRONG_TYPE_KEYS = Counter(
    "sagestream_ingest_wrong_type_keys_total", "Known event_data keys of the wrong type", ["key"]
)
ACK_SECONDS = Histogram(
    "sagestream_ingest_ack_seconds",
    "From the request handed to the producer to its last delivery report",
    buckets=_LATENCY_S,
)
HEARTBEATS = Counter("sagestream_ingest_heartbeats_total", "Heartbeat records written")

# Writers and repair
RECORDS = Counter(
    "sagestream_writer_records_total", "Records handled, by their fate", ["writer", "fate"]
)
BATCH_SECONDS = Histogram(
    "sagestream_writer_batch_seconds",
    "One batch, read to committed",
    ["writer"],
    buckets=_LATENCY_S,
)
BATCH_RETRIES = Counter(
    "sagestream_writer_batch_retries_total",
    "Batches tried again because a store was away",
    ["writer"],
)
CONSUMER_LAG = Gauge(
    "sagestream_consumer_lag_records",
    "Records behind the end of the partition",
    ["group", "partition"],
)
OLDEST_RECORD_AGE = Gauge(
    "sagestream_writer_record_age_seconds", "Age of the newest record of the last batch", ["writer"]
)
OUTBOX_ROWS = Gauge("sagestream_outbox_rows", "Rows waiting to be published", ["writer"])
WINDOWS_REPAIRED = Counter(
    "sagestream_late_windows_repaired_total", "Windows re-read and re-issued by the late repair"
)

# Serving
MATCH_CANDIDATES = Histogram(
    "sagestream_match_candidates",
    "Patterns looked at for one match",
    buckets=(10, 100, 1e3, 1e4, 1e5),
)
