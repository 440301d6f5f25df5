"""From a request to an answer, with a stand-in for the database connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import pytest

from infra.clock import ManualClock
from infra.http import App, Principal, Response
from serving.read_path import ReadPath
from serving.routes import patterns
from serving.store_calls import StoreCalls
from storage.postgres.pool import Connection
from tests.support.http import call

T = TypeVar("T")
HASH = "ab" * 32
SEEN_AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
NOW_MS = int(SEEN_AT.timestamp() * 1000) + 7_000


def stored(path: list[str], *, distance: float | None = None, **changes: Any) -> tuple[Any, ...]:
    """A row in the order in which the store reads it."""
    values = {
        "pattern_hash": HASH,
        "pattern_type": "session_path",
        "industry": "retail",
        "campaign_type": "unknown",
        "path": path,
        "sample_size": 1204,
        "success_rate": 0.2934,
        "lift": 1.7454,
        "confidence": 0.9991,
        "client_count": 3,
        "conditions": {},
        "outcomes": {"success_rate_low": 0.2684, "success_rate_high": 0.3198},
        "algorithm_version": 1,
        "embedding_version": 1,
        "first_seen": SEEN_AT,
        "last_seen": SEEN_AT,
        "updated_at": SEEN_AT,
        "success_ppm": 353_000_000,
        "context_trials": 48_871,
        "context_success_ppm": 8_215_000_000,
    }
    row = tuple({**values, **changes}.values())
    return row if distance is None else (*row, distance)


class FakeConnection:
    """Answers reads in order and remembers their parameters."""

    def __init__(self, found: list[tuple[Any, ...]]) -> None:
        self.found = found
        self.parameters: list[dict[str, Any]] = []
        self._rows: list[tuple[Any, ...]] = []

    def execute(self, _statement: object, parameters: Any = None, **_: Any) -> FakeConnection:
        if parameters is None:
            self._rows = [(SEEN_AT, SEEN_AT)]
        else:
            self.parameters.append(parameters)
            self._rows = self.found
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None


class InlineCalls:
    """Runs calls at once, on the fake connection."""

    def __init__(self, connection: FakeConnection) -> None:
        self._connection = connection

    async def run(self, function: Callable[[Connection], T]) -> T:
        return function(cast(Connection, self._connection))


class Keys:
    """The key is the tenant's name."""

    async def authenticate(self, secret: str) -> Principal | None:
        return Principal(secret, "id", frozenset({"read"}))


class Setup:
    def __init__(self) -> None:
        self.connection = FakeConnection([])
        calls = cast(StoreCalls, InlineCalls(self.connection))
        clock = ManualClock(NOW_MS)
        read_path = ReadPath(calls, clock, shared_min_clients=3)
        self._app = App(
            patterns.routes(read_path, clock), process="test", authenticator=Keys(), clock=clock
        )

    def match(self, tenant: str = "acme", **body: Any) -> dict[str, Any]:
        response = self._call("POST", "/v1/patterns/match", tenant, body)
        assert response.status == 200, response.body
        return dict(json.loads(response.body))

    def one(self, tenant: str = "acme", pattern_hash: str = HASH) -> Response:
        return self._call("GET", f"/v1/patterns/{pattern_hash}", tenant, b"")

    def _call(self, method: str, path: str, tenant: str, body: Any) -> Response:
        return asyncio.run(call(self._app, method, path, body=body, key=tenant))


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_every_match_is_read_as_the_tenant_of_the_key(setup: Setup) -> None:
    setup.match("globex", path=["view"])
    assert setup.connection.parameters[0]["client_id"] == "globex"
    assert setup.connection.parameters[0]["shared_min_clients"] == 3


def test_every_single_pattern_is_read_as_the_tenant_of_the_key(setup: Setup) -> None:
    setup.one("globex")
    assert setup.connection.parameters[0]["client_id"] == "globex"
    assert setup.connection.parameters[0]["shared_min_clients"] == 3


def test_a_body_cannot_name_another_tenant(setup: Setup) -> None:
    response = setup._call("POST", "/v1/patterns/match", "acme", {"client_id": "x", "path": ["a"]})
    assert response.status == 400
    assert setup.connection.parameters == []


def test_filters_reach_the_store(setup: Setup) -> None:
    filters = {
        "min_confidence": 0.9,
        "min_sample_size": 50,
        "pattern_type": "session_path",
        "industry": "retail",
        "campaign_type": "email",
    }
    setup.match(path=["view"], k=7, filters=filters)
    asked = setup.connection.parameters[0]
    names = ("confidence_min", "sample_size_min", "pattern_type", "industry", "campaign_type", "k")
    assert [asked[name] for name in names] == [*filters.values(), 7]


def test_a_match_carries_its_evidence(setup: Setup) -> None:
    setup.connection.found = [stored(["view", "bookmark"], distance=0.25)]
    match = setup.match(context={"industry": "retail"}, path=["bookmark"])["matches"][0]
    assert match["success_rate"] == 0.2934
    assert match["context_success_rate"] == 0.1681
    assert match["interval"] == {"low": 0.2682, "high": 0.3195, "level": 0.95}
    assert (match["distance"], match["similarity"]) == (0.25, 0.75)
    assert match["why"] == {
        "sentence": "After view > bookmark, 29.3 % of 1,204 session windows succeed against 16.8 % "
        "in general (industry retail); 99.9 % sure it is higher.",
        "matched": ["industry is retail", "contains bookmark", "ends with bookmark"],
        "not_matched": ["begins with bookmark"],
    }


@pytest.mark.parametrize("distance", [-1e-9, 2.0000001])
def test_rounding_of_the_index_never_leaves_the_contract(setup: Setup, distance: float) -> None:
    setup.connection.found = [stored(["view"], distance=distance)]
    assert 0 <= setup.match(path=["view"])["matches"][0]["distance"] <= 2


def test_a_pattern_that_shares_nothing_is_left_out(setup: Setup) -> None:
    setup.connection.found = [stored(["like"], distance=0.98), stored(["view"], distance=0.99)]
    assert [m["path"] for m in setup.match(path=["view"])["matches"]] == [["view"]]


def test_a_context_without_totals_has_no_made_up_rate(setup: Setup) -> None:
    setup.connection.found = [stored(["view"], distance=0.0, context_trials=0, lift=None)]
    match = setup.match(path=["view"])["matches"][0]
    assert (match["context_success_rate"], match["lift"]) == (None, None)


def test_an_answer_is_as_old_as_the_newest_window_in_the_store(setup: Setup) -> None:
    freshness = setup.match(path=["view"])["freshness"]
    assert freshness["as_of"] == "2026-01-05T12:00:00Z"
    assert freshness["staleness_ms"] == 7_000


def test_the_question_is_answered_as_it_was_understood(setup: Setup) -> None:
    asked = setup.match(path=["a", "a", "b", "c", "d"], k=3)["asked"]
    assert asked == {"industry": None, "campaign_type": None, "path": ["b", "c", "d"], "k": 3}


def test_one_pattern_has_its_outcomes(setup: Setup) -> None:
    setup.connection.found = [stored(["view"])]
    answer = json.loads(setup.one().body)
    assert answer["outcomes"] == {"success_rate_low": 0.2684, "success_rate_high": 0.3198}
    assert answer["sentence"].startswith("After view, 29.3 %")


def test_a_pattern_that_is_not_there_is_404(setup: Setup) -> None:
    response = setup.one()
    assert response.status == 404
    assert response.content_type == "application/problem+json"


def test_a_malformed_hash_never_reaches_the_store(setup: Setup) -> None:
    assert setup.one(pattern_hash="nonsense").status == 400
    assert setup.connection.parameters == []
