"""The gateway with a real broker and a real key store: what is acknowledged is in the log.

Its own small platform, because these tests kill the broker and the key store.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import rudderstack.analytics as rudder
import schemathesis
from hypothesis import HealthCheck, given, settings
from segment.analytics.client import Client as SegmentClient

from infra import settings as settings_module
from infra.kafka.admin import KafkaAdmin
from infra.kafka.consumer import BatchConsumer
from infra.topics import DEAD_LETTERS, LEARNING_EVENTS, Topic
from ingestion.events.codec import decode
from ingestion.events.dead_letter import DeadLetter
from ingestion.events.event import Event
from tests.support.platform import Platform, wait_for
from tests.support.sender import Sender, events

pytestmark = pytest.mark.integration

OVERRIDES = {
    "SAGESTREAM_PORT_BASE": "23000",
    "SAGESTREAM_ACK_TIMEOUT_MS": "3000",
    "SAGESTREAM_HEARTBEAT_IDLE_MS": "2000",
    "SAGESTREAM_KEY_REFRESH_MS": "1000",
}
ANSWER_WITHIN_S = 3.0 + 1.0
MIB = 1 << 20


class GatewayPlatform(Platform):
    """Broker, key store and gateway, and a look into the log."""

    def up(self) -> None:
        self.command("up", "--only", "gateway", "--json")
        self.settings = settings_module.load(home=self.home)

    @property
    def url(self) -> str:
        return self.settings.gateway_url

    def process(self, part: str) -> psutil.Process:
        return psutil.Process(json.loads((self.home / "run" / f"{part}.json").read_text())["pid"])

    def values(self, topic: Topic) -> list[bytes]:
        """Every record of a topic, up to the end it has now."""
        ends = KafkaAdmin(self.settings.kafka_bootstrap).end_offsets([topic])
        consumer = BatchConsumer(
            self.settings.kafka_bootstrap,
            group=f"test-{uuid.uuid4()}",
            topics=[topic.name],
            client_id="test",
        )
        found = []
        left = {partition for partition, end in ends.items() if end}
        try:
            while left:
                for record in consumer.read(5_000, 0.5):
                    found.append(record.value or b"")
                    if record.offset + 1 >= ends[(record.topic, record.partition)]:
                        left.discard((record.topic, record.partition))
        finally:
            consumer.close()
        return found

    def events(self, prefix: str) -> list[Event]:
        """Events whose id begins with `prefix`."""
        events = [decode(value) for value in self.values(LEARNING_EVENTS)]
        return [event for event in events if event.event_id.startswith(prefix)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayPlatform]:
    platform = GatewayPlatform(Path(tmp_path_factory.mktemp("gateway")), OVERRIDES)
    try:
        platform.up()
        yield platform
    finally:
        platform.down()


@pytest.fixture(scope="module")
def key(running: GatewayPlatform) -> str:
    return running.key("acme", "ingest")


@pytest.fixture
def client(running: GatewayPlatform, key: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=running.url, headers=headers, timeout=20) as client:
        yield client


def ids(found: list[Event]) -> set[str]:
    return {event.event_id for event in found}


def test_what_is_acknowledged_is_in_the_log(running: GatewayPlatform, client: httpx.Client) -> None:
    sent = events("plain", 1000)
    answer = client.post("/v1/events", json=sent).json()
    assert (answer["accepted"], answer["durability"]) == (1000, "kafka")
    stored = running.events("plain-")
    assert ids(stored) == {event["event_id"] for event in sent}
    assert {event.client_id for event in stored} == {"acme"}
    assert json.loads(stored[0].event_data)["note"] == 'a "quoted" 日本 text'


def test_compressed_lines_are_taken(running: GatewayPlatform, client: httpx.Client) -> None:
    body = b"\n".join(json.dumps(event).encode() for event in events("lines", 200))
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    answer = client.post("/v1/events", content=gzip.compress(body), headers=headers)
    assert answer.json()["accepted"] == 200
    assert len(running.events("lines-")) == 200


def test_the_public_segment_sdk_works_unchanged(running: GatewayPlatform, key: str) -> None:
    failures: list[Any] = []
    sdk = SegmentClient(
        key, host=running.url, on_error=lambda *told: failures.append(told), gzip=True
    )
    for n in range(250):
        sdk.track(
            user_id="u-1",
            event="Order Completed",
            properties={"industry": "retail", "success": True},
            context={"sessionId": f"seg-{n % 7}"},
            message_id=f"seg-{n}",
        )
    sdk.identify(user_id="u-1", traits={"plan": "pro"}, message_id="seg-identify")
    sdk.shutdown()
    assert not failures
    stored = running.events("seg-")
    assert len(ids(stored)) == 251
    assert {event.event_type for event in stored} == {"Order Completed", "segment.identify"}


def test_the_public_rudderstack_sdk_works_unchanged(running: GatewayPlatform, key: str) -> None:
    failures: list[Any] = []
    sdk = rudder.Client(
        key, host=running.url, on_error=lambda *told: failures.append(told), gzip=True
    )
    for n in range(120):
        sdk.track(user_id="u-2", event="Opened", properties={"n": n}, message_id=f"rudder-{n}")
    sdk.flush()
    sdk.join()
    assert not failures
    assert len(ids(running.events("rudder-"))) == 120


def test_a_segment_call_that_is_no_event_becomes_a_dead_letter(
    running: GatewayPlatform, client: httpx.Client
) -> None:
    call = {"type": "track", "userId": "u", "messageId": "no-name"}
    answer = client.post("/v1/batch", json={"batch": [call]})
    assert answer.json() == {
        "success": True,
        "accepted": 0,
        "dead_lettered": 1,
        "durability": "kafka",
    }
    letters = [DeadLetter.from_bytes(value) for value in running.values(DEAD_LETTERS)]
    (letter,) = [letter for letter in letters if letter.event_id == "no-name"]
    assert json.loads(letter.raw) == call


def test_quiet_partitions_get_heartbeats(running: GatewayPlatform) -> None:
    def partitions() -> bool:
        records = [decode(value) for value in running.values(LEARNING_EVENTS)]
        beaten = {event.event_id.split("-")[1] for event in records if event.is_heartbeat}
        return len(beaten) == LEARNING_EVENTS.partitions

    wait_for("a heartbeat in every partition", partitions, timeout_s=30)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/batch"])
def test_keys_decide_who_gets_in(running: GatewayPlatform, path: str) -> None:
    reader = running.key("acme", "read")
    unknown = f"ssk_nosuchid_{'x' * 43}"

    def status(value: str | None) -> int:
        headers = {} if value is None else {"Authorization": f"Bearer {value}"}
        return httpx.post(f"{running.url}{path}", json={"batch": []}, headers=headers).status_code

    assert [status(value) for value in (None, "nonsense", unknown, reader)] == [401, 401, 401, 403]


def test_a_revoked_key_stops_working(running: GatewayPlatform) -> None:
    revoked = running.key("leaver", "ingest")
    headers = {"Authorization": f"Bearer {revoked}"}

    def status() -> int:
        return httpx.post(
            f"{running.url}/v1/events", json=events("leaver", 1), headers=headers
        ).status_code

    assert status() == 200
    running.command("keys", "revoke", revoked.split("_")[1])
    wait_for("the key to stop working", lambda: status() == 401, timeout_s=30)


def test_large_bodies_and_gzip_bombs_cost_no_memory(
    running: GatewayPlatform, client: httpx.Client
) -> None:
    process = running.process("gateway")
    before = process.memory_info().rss
    bomb = gzip.compress(b"[" + b" " * (200 * MIB), compresslevel=9)
    for _ in range(5):
        assert client.post("/v1/events", content=b"x" * (10 * MIB)).status_code == 413
        answer = client.post("/v1/events", content=bomb, headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 413
    assert process.memory_info().rss - before < 50 * MIB


def test_slow_senders_do_not_hold_up_the_others(
    running: GatewayPlatform, client: httpx.Client
) -> None:
    slow = [
        socket.create_connection(("127.0.0.1", running.settings.gateway_port)) for _ in range(300)
    ]
    try:
        for connection in slow:
            connection.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Le")
        for n in range(20):
            assert client.post("/v1/events", json=events(f"beside-{n}", 1)).status_code == 200
    finally:
        for connection in slow:
            connection.close()


def test_every_documented_route_survives_generated_requests(
    running: GatewayPlatform, key: str
) -> None:
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    headers = {"Authorization": f"Bearer {key}"}
    for operation in schema.get_all_operations():

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.ok().as_strategy())
        def answers_without_failing(case: schemathesis.Case) -> None:
            answer = case.call(base_url=running.url, headers=headers)
            assert answer.status_code < 500, answer.text

        answers_without_failing()


def test_nothing_acknowledged_is_lost_when_the_broker_is_killed(
    running: GatewayPlatform, key: str
) -> None:
    async def scenario() -> Sender:
        sender = Sender(running.url, key, "killed")
        sending = asyncio.create_task(sender.run())
        await sender.until("first answers", lambda: len(sender.acknowledged) > 2_000)
        await asyncio.to_thread(running.kill, "kafka")
        await sender.until("refusals", lambda: sender.statuses.count(503) > 50)
        memory = running.process("gateway").memory_info().rss
        await sender.until("more refusals", lambda: sender.statuses.count(503) > 200)
        assert running.process("gateway").memory_info().rss - memory < 50 * MIB
        confirmed = len(sender.acknowledged)
        await asyncio.to_thread(running.up)
        await sender.until("recovery", lambda: len(sender.acknowledged) > confirmed + 2_000)
        sender.stop.set()
        await sending
        return sender

    sender = asyncio.run(scenario())
    assert set(sender.statuses) == {200, 503}
    assert sender.slowest_s < ANSWER_WITHIN_S
    assert set(sender.acknowledged) <= ids(running.events("killed-"))


def test_a_broker_that_hangs_is_a_503_in_time_and_then_forgotten(
    running: GatewayPlatform, client: httpx.Client
) -> None:
    broker = running.process("kafka")
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        answer = client.post("/v1/events", json=events("hung", 1))
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert time.monotonic() - started < ANSWER_WITHIN_S
        wait_for("not ready", lambda: client.get("/ready").status_code == 503, timeout_s=10)
        assert client.get("/health").status_code == 200
    finally:
        os.kill(broker.pid, signal.SIGCONT)

    def stored() -> bool:
        return client.post("/v1/events", json=events("hung", 1)).status_code == 200

    wait_for("events to be taken again", stored, timeout_s=30)
    wait_for("ready", lambda: client.get("/ready").status_code == 200, timeout_s=30)


def test_known_keys_go_on_working_while_postgres_is_away(
    running: GatewayPlatform, client: httpx.Client
) -> None:
    assert client.post("/v1/events", json=events("pg", 1)).status_code == 200
    running.kill("postgres")
    try:
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            assert client.post("/v1/events", json=events("pg", 1)).status_code == 200
        stranger = {"Authorization": f"Bearer ssk_stranger_{'y' * 43}"}
        answer = httpx.post(f"{running.url}/v1/events", json=events("pg", 1), headers=stranger)
        assert answer.status_code == 503
        assert "keys" in client.get("/ready").json()["degraded"]
    finally:
        running.up()


def test_a_stop_under_load_loses_nothing_that_was_acknowledged(
    running: GatewayPlatform, key: str
) -> None:
    async def scenario() -> Sender:
        sender = Sender(running.url, key, "stopped")
        sending = asyncio.create_task(sender.run())
        await sender.until("first answers", lambda: len(sender.acknowledged) > 2_000)
        gateway = running.process("gateway")
        gateway.terminate()
        assert await asyncio.to_thread(gateway.wait, 20) in (0, None)
        sender.stop.set()
        await sending
        return sender

    try:
        sender = asyncio.run(scenario())
        assert set(sender.statuses) == {200}
        assert set(sender.acknowledged) <= ids(running.events("stopped-"))
    finally:
        running.up()
