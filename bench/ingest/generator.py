"""A closed-loop HTTP load generator, run as its own process.

Reads one JSON object on standard input, writes one on standard output:
  in   host, port, path, headers, connections, warm_s, run_s, events_per_post, seed
  out  posts, events, run_s, statuses, cpu_s, latency_ms {p50, p95, p99}

Request bytes are built before the clock starts; each connection sends the next one when the
whole answer to the last has arrived. No project code is imported, so that it costs what it costs.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import Any, cast

import uvloop

EVENT_BYTES = 356
_BODIES = 199
_EVENT_TYPES = (
    "recommendation.accepted",
    "recommendation.dismissed",
    "campaign.created",
    "page.viewed",
    "goal.achieved",
    "content.shared",
)


def build_event(rng: random.Random, now_ms: int) -> dict[str, Any]:
    """A realistic event whose compact JSON is EVENT_BYTES long."""
    event: dict[str, Any] = {
        "event_id": f"{rng.getrandbits(128):032x}",
        "session_id": f"session-{rng.randrange(50_000):08d}",
        "user_id": f"user-{rng.randrange(20_000):06d}",
        "event_type": rng.choice(_EVENT_TYPES),
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_ms // 1000))
        + f".{rng.randrange(1000):03d}Z",
        "event_data": {
            "industry": rng.choice(("retail", "software", "healthcare", "finance")),
            "campaign_type": rng.choice(("email", "social", "search", "display")),
            "success_score": round(rng.uniform(0, 10), 1),
            "team_size": rng.randrange(1, 40),
            "page": f"/campaigns/{rng.randrange(9000)}/edit",
            "note": "",
        },
    }
    missing = EVENT_BYTES - len(compact(event))
    letters = (rng.choice("abcdefghij klmnopqrstuvwxyz") for _ in range(missing))
    event["event_data"]["note"] = "".join(letters)
    return event


def compact(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def build_requests(spec: dict[str, Any]) -> list[bytes]:
    """Whole HTTP requests, `_BODIES` different ones."""
    rng = random.Random(spec["seed"])
    now_ms = int(time.time() * 1000)
    requests = []
    for _ in range(_BODIES):
        events = [build_event(rng, now_ms) for _ in range(spec["events_per_post"])]
        body = compact(events if spec["events_per_post"] > 1 else events[0])
        head = [
            f"POST {spec['path']} HTTP/1.1",
            f"Host: {spec['host']}:{spec['port']}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in spec["headers"].items()),
        ]
        requests.append("\r\n".join(head).encode() + b"\r\n\r\n" + body)
    return requests


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._sent_at = 0.0
        self._received = b""
        self.finished = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        request = self._load.next_request()
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0 or len(received) < head_end + 4 + _content_length(received, head_end):
            self._received = received
            return
        self._received = b""
        self._load.answered(received[9:12], time.perf_counter() - self._sent_at, received)
        self._send()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


def _content_length(received: bytes, head_end: int) -> int:
    at = received.find(b"ontent-", 0, head_end)
    while at >= 0:
        if received[at + 7 : at + 14].lower() == b"length:":
            return int(received[at + 14 : received.index(b"\r\n", at)])
        at = received.find(b"ontent-", at + 7, head_end)
    return 0


class Load:
    """What all connections share: the requests, the clock and the tally."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests = requests
        self._next = 0
        self.measuring = False
        self.stopping = False
        self.statuses: Counter[bytes] = Counter()
        self.latencies: list[float] = []
        self.first_failure = b""
        self.posts_sent = 0

    def next_request(self) -> bytes | None:
        if self.stopping:
            return None
        self._next += 1
        self.posts_sent += 1
        return self._requests[self._next % len(self._requests)]

    def answered(self, status: bytes, seconds: float, answer: bytes) -> None:
        if status != b"200" and not self.first_failure:
            self.first_failure = answer[:600]
        if self.measuring:
            self.statuses[status] += 1
            self.latencies.append(seconds)


async def run(spec: dict[str, Any]) -> dict[str, Any]:
    load = Load(build_requests(spec))
    loop = asyncio.get_running_loop()
    connections = []
    for _ in range(spec["connections"]):
        _, connection = await loop.create_connection(
            lambda: Connection(load), spec["host"], spec["port"]
        )
        connections.append(connection)
    await asyncio.sleep(spec["warm_s"])
    load.measuring = True
    started, cpu_started = time.perf_counter(), time.process_time()
    await asyncio.sleep(spec["run_s"])
    load.measuring = False
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    load.stopping = True
    await asyncio.wait([connection.finished for connection in connections], timeout=30)
    posts = load.statuses[b"200"]
    return {
        "posts": posts,
        "events": posts * spec["events_per_post"],
        "events_sent_ever": load.posts_sent * spec["events_per_post"],
        "run_s": elapsed,
        "cpu_s": cpu,
        "statuses": {status.decode(): count for status, count in load.statuses.items()},
        "latency_ms": _percentiles(load.latencies),
        "first_failure": load.first_failure.decode(errors="replace"),
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    ordered = sorted(seconds)
    return {
        f"p{p}": round(ordered[min(len(ordered) - 1, len(ordered) * p // 100)] * 1000, 2)
        for p in (50, 95, 99)
    }


def main() -> None:
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
