"""The log that both sides read: Zipf sessions, one copy in twenty, closed by heartbeats."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from itertools import accumulate

from infra.kafka.producer import Producer, Record
from infra.topics import Topic
from ingestion.events import codec
from ingestion.events.event import Event
from ingestion.events.facts import Facts
from ingestion.events.key import partition_key
from stream_jobs.patterns.window import WINDOW_SIZE_MS

SESSIONS = 20_000
ZIPF_EXPONENT = 1.1
COPIES = 0.05
# Event time runs this much faster than a shorter log would need: the rate per window is fixed, so
# that any prefix of the log has the same distribution.
EVENTS_PER_WINDOW_PERIOD = 50_000
RECEIPT_DELAY_MS_MAX = 3_000
_BATCH = 50_000
_TYPES = (
    "page.view",
    "search",
    "recommendation.shown",
    "recommendation.accepted",
    "recommendation.dismissed",
    "campaign.created",
    "campaign.completed",
    "campaign.failed",
    "filter.changed",
    "export",
)
_INDUSTRIES = ("retail", "banking", "travel", "software")


def make(count: int, *, start_ms: int, seed: int = 1) -> list[Event]:
    """`count` distinct events and their copies, in order of event time; about 360 bytes each."""
    rng = random.Random(seed)
    weights = list(accumulate(1 / rank**ZIPF_EXPONENT for rank in range(1, SESSIONS + 1)))
    sessions = rng.choices(range(SESSIONS), cum_weights=weights, k=count)
    log = []
    for number, session in enumerate(sessions):
        at_ms = start_ms + number * WINDOW_SIZE_MS // EVENTS_PER_WINDOW_PERIOD
        industry = _INDUSTRIES[session % 4]
        made = Event(
            event_id=f"e-{number:08d}",
            client_id=f"client-{session % 20}",
            session_id=f"session-{session:06d}",
            user_id=None,
            event_type=rng.choice(_TYPES),
            event_time=at_ms,
            received_at=at_ms + rng.randrange(RECEIPT_DELAY_MS_MAX),
            body_hash=hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest(),
            facts=Facts(
                industry,
                None,
                rng.random() < 0.3 if number % 3 == 0 else None,
                round(rng.random() * 10, 5) if number % 5 == 0 else None,
            ),
            event_data=b'{"campaign_id":"c-17","industry":"%s","note":"%s","page":%d}'
            % (industry.encode(), b"x" * 60, number % 50),
        )
        log.append(made)
        if rng.random() < COPIES:
            log.append(made)
    return log


def end_ms(log: Sequence[Event]) -> int:
    """A moment by which every window of the log is over."""
    return log[-1].event_time + 2 * WINDOW_SIZE_MS


def fill(bootstrap: str, topic: Topic, log: Sequence[Event]) -> int:
    """Write the log and then heartbeats into every partition; returns the number of records.

    The record timestamp is the event time, so that an engine may take its clock from there.
    """
    producer = Producer(bootstrap, client_id="bench-log", linger_ms=20, timeout_ms=120_000)
    now_ms = end_ms(log)
    try:
        for start in range(0, len(log), _BATCH):
            producer.publish_and_wait(
                [
                    Record(topic.name, partition_key(e), codec.encode(e), e.event_time)
                    for e in log[start : start + _BATCH]
                ]
            )
        producer.publish_and_wait(
            [
                Record(topic.name, b"_heartbeat", codec.heartbeat(n, now_ms), now_ms, n)
                for n in range(topic.partitions)
            ]
        )
    finally:
        producer.close()
    return len(log) + topic.partitions
