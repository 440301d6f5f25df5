"""Questions to the real serving process over real patterns."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import psycopg
import pytest

from storage.postgres import migrate
from storage.postgres.keys import KeyStore
from storage.postgres.pool import Pool
from tests.support import seeded_patterns
from tests.support.platform import wait_for
from tests.support.postgres import PostgresServer
from tests.support.serving_process import ServingProcess, steady_port

pytestmark = pytest.mark.integration

PRIVATE = seeded_patterns.PRIVATE_STEP


@pytest.fixture(scope="module")
def newest_ms() -> int:
    return seeded_patterns.newest_window(int(time.time() * 1000))


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, newest_ms: int) -> Iterator[ServingProcess]:
    home = tmp_path_factory.mktemp("serving")
    server = PostgresServer(tmp_path_factory.mktemp("serving-postgres"), port=steady_port())
    server.start()
    try:
        dsn = server.create_database()
        migrate.apply(dsn)
        seeded_patterns.store(dsn, list(seeded_patterns.windows(newest_ms)))
        process = ServingProcess(home, server, dsn)
        try:
            process.start()
            yield process
        finally:
            process.stop()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def acme(serving: ServingProcess) -> str:
    """Key of the client that alone contributed to the private patterns."""
    return serving.key("acme")


@pytest.fixture(scope="module")
def globex(serving: ServingProcess) -> str:
    """Key of a client that contributed to everything else."""
    return serving.key("globex")


@pytest.fixture(scope="module")
def stranger(serving: ServingProcess) -> str:
    """Key of a client that contributed nothing."""
    return serving.key("umbrella")


@pytest.fixture(scope="module")
def document(serving: ServingProcess) -> dict[str, Any]:
    answer = serving.get("/v1/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


def matches(serving: ServingProcess, key: str, **body: Any) -> list[dict[str, Any]]:
    answer = serving.match(key, **body)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["matches"])


def rows(serving: ServingProcess, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(serving.dsn) as connection:
        return connection.execute(statement.encode(), parameters).fetchall()


def test_the_exact_pattern_comes_first_with_its_evidence(
    serving: ServingProcess, globex: str
) -> None:
    asked = {"industry": "retail", "campaign_type": "email"}
    found = matches(serving, globex, context=asked, path=["share"], k=3)
    best = found[0]
    assert best["path"] == ["share"]
    assert best["distance"] == 0
    assert best["similarity"] == 1
    assert best["why"]["not_matched"] == []
    assert best["why"]["sentence"].startswith("After share, ")
    stored = rows(
        serving,
        "SELECT p.sample_size, p.success_rate::float8, p.confidence_score::float8, p.lift::float8,"
        " p.client_count, t.success_ppm_sum / 1e6 / t.trials"
        " FROM success_patterns p JOIN context_totals t ON t.industry = p.industries[1]"
        " AND t.campaign_type = p.campaign_type WHERE p.pattern_hash = %s",
        best["pattern_hash"],
    )[0]
    names = ("sample_size", "success_rate", "confidence_score", "lift", "client_count")
    assert tuple(best[name] for name in names) == stored[:5]
    assert best["context_success_rate"] == pytest.approx(float(stored[5]), abs=5e-5)
    assert best["interval"]["low"] < best["success_rate"] < best["interval"]["high"]


def test_matches_are_ranked_and_as_many_as_asked(serving: ServingProcess, globex: str) -> None:
    found = matches(serving, globex, path=["view", "share"], k=25)
    assert len(found) == 25
    ranks = [(round(m["distance"], 3), -m["confidence_score"], -m["lift"]) for m in found]
    assert [rank[0] for rank in ranks] == sorted(rank[0] for rank in ranks)
    assert all(m["why"]["matched"] for m in found)


def test_a_longer_path_is_asked_by_its_last_three_steps(
    serving: ServingProcess, globex: str
) -> None:
    long = serving.match(globex, path=["back", "view", "share", "share", "like"]).json()
    short = serving.match(globex, path=["view", "share", "like"]).json()
    assert long["asked"]["path"] == ["view", "share", "like"]
    assert long["matches"] == short["matches"]


def test_what_shares_nothing_is_no_match(serving: ServingProcess, globex: str) -> None:
    assert matches(serving, globex, path=["never.heard.of"], k=100) == []


def test_filters_are_hard(serving: ServingProcess, globex: str) -> None:
    everything = matches(serving, globex, path=["share"], k=100)
    limit = statistics.median(m["sample_size"] for m in everything)
    filters = {"min_confidence": 0.99, "min_sample_size": int(limit), "industry": "media"}
    found = matches(serving, globex, path=["share"], k=100, filters=filters)
    expected = {
        m["pattern_hash"]
        for m in everything
        if m["confidence_score"] >= 0.99
        and m["sample_size"] >= int(limit)
        and m["industry"] == "media"
    }
    assert expected
    assert {m["pattern_hash"] for m in found} >= expected
    for match in found:
        assert match["industry"] == "media"
        assert match["confidence_score"] >= 0.99
        assert match["sample_size"] >= int(limit)


def test_an_answer_says_how_fresh_it_is(
    serving: ServingProcess, globex: str, newest_ms: int
) -> None:
    answer = serving.match(globex, path=["share"]).json()
    as_of = rows(serving, "SELECT max(window_start) + interval '5 min' FROM session_windows")[0][0]
    assert answer["freshness"]["as_of"] == as_of.isoformat().replace("+00:00", "Z")
    age_ms = time.time() * 1000 - (newest_ms + 300_000)
    assert 0 <= answer["freshness"]["staleness_ms"] <= age_ms + 1_000
    assert answer["cache_tier"] == "store"
    assert answer["versions"] == {"algorithm": 1, "embedding": 1, "model": None}


def test_one_pattern_by_its_hash(serving: ServingProcess, globex: str) -> None:
    match = matches(serving, globex, path=["share"], k=1)[0]
    one = serving.get(f"/v1/patterns/{match['pattern_hash']}", globex).json()
    shared = set(match) & set(one)
    assert {name: one[name] for name in shared} == {name: match[name] for name in shared}
    assert one["outcomes"]


def test_only_detected_patterns_are_served(serving: ServingProcess, acme: str) -> None:
    hidden = rows(serving, "SELECT pattern_hash FROM success_patterns WHERE NOT detected LIMIT 5")
    assert hidden
    for (pattern_hash,) in hidden:
        assert serving.get(f"/v1/patterns/{pattern_hash}", acme).status_code == 404


def test_an_unshared_pattern_never_leaves_its_contributors(
    serving: ServingProcess, acme: str, globex: str, stranger: str
) -> None:
    private = rows(
        serving,
        "SELECT pattern_hash FROM success_patterns WHERE detected AND %s = ANY (path)",
        PRIVATE,
    )
    assert len(private) >= 3
    questions: list[dict[str, Any]] = [
        {"path": [PRIVATE]},
        {"path": ["share", PRIVATE]},
        {"path": [PRIVATE], "filters": {"min_confidence": 0, "min_sample_size": 0}},
        *({"context": {"industry": i}} for i in ("retail", "media", "unknown")),
        *({"context": {"industry": i}, "path": [PRIVATE]} for i in ("retail", "media")),
    ]
    own = {m["pattern_hash"] for q in questions for m in matches(serving, acme, **q, k=100)}
    assert {pattern_hash for (pattern_hash,) in private} <= own
    for key in (globex, stranger):
        for question in questions:
            found = matches(serving, key, **question, k=100)
            assert [m["path"] for m in found if PRIVATE in m["path"]] == []
        for (pattern_hash,) in private:
            foreign = serving.get(f"/v1/patterns/{pattern_hash}", key)
            unknown = serving.get(f"/v1/patterns/{'0' * 64}", key)
            assert (foreign.status_code, unknown.status_code) == (404, 404)
            assert _but_request(foreign) == _but_request(unknown)


def _but_request(answer: httpx.Response) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name != "request_id"}


def test_a_stranger_sees_what_enough_clients_share(serving: ServingProcess, stranger: str) -> None:
    found = matches(serving, stranger, path=["share"], k=100)
    assert found
    assert all(m["client_count"] >= 3 for m in found)


@pytest.mark.parametrize("text", ["abc", "Z" * 64, "a" * 65, "%00", "%C3%A9", "a" * 3_000])
def test_a_malformed_hash_is_400(serving: ServingProcess, globex: str, text: str) -> None:
    answer = serving.get(f"/v1/patterns/{text}", globex)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == "pattern_hash"


def test_a_wrong_question_is_a_problem_naming_field_and_remedy(
    serving: ServingProcess, globex: str
) -> None:
    answer = serving.match(globex, path=["share"], k=101)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["field"] == "k"
    assert "1 to 100" in problem["detail"]


def test_keys_decide_who_may_ask(serving: ServingProcess, globex: str) -> None:
    assert serving.match(None, path=["share"]).status_code == 401
    assert serving.match(globex[:-1] + "x", path=["share"]).status_code == 401
    assert serving.match(f"ssk_00000000_{'a' * 43}", path=["share"]).status_code == 401
    assert serving.match(serving.key("globex", "ingest"), path=["share"]).status_code == 403


def test_every_answer_has_the_shape_the_contract_promises(
    serving: ServingProcess, document: dict[str, Any], acme: str
) -> None:
    match = serving.match(acme, context={"industry": "retail"}, k=100)
    pattern_hash = match.json()["matches"][0]["pattern_hash"]
    answers = {
        ("/v1/patterns/match", "post"): [match, serving.match(acme), serving.match(None)],
        ("/v1/patterns/{pattern_hash}", "get"): [
            serving.get(f"/v1/patterns/{pattern_hash}", acme),
            serving.get(f"/v1/patterns/{'0' * 64}", acme),
            serving.get("/v1/patterns/x", acme),
        ],
        ("/v1/openapi.json", "get"): [serving.get("/v1/openapi.json")],
        ("/health", "get"): [serving.get("/health")],
        ("/ready", "get"): [serving.get("/ready")],
    }
    for (path, method), got in answers.items():
        promised = document["paths"][path][method]["responses"]
        for answer in got:
            content = promised[str(answer.status_code)]["content"]
            media_type = answer.headers["content-type"]
            schema = {**content[media_type]["schema"], "components": document["components"]}
            jsonschema_rs.validator_for(schema).validate(answer.json())


def test_the_page_and_the_metrics_are_there(serving: ServingProcess) -> None:
    page = serving.get("/docs")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert "/v1/patterns/match" in page.text
    serving.get("/health")
    assert 'route="/health",status="200"' in serving.get("/metrics").text


def test_the_contract_survives_generated_requests(
    serving: ServingProcess, acme: str, tmp_path: Path
) -> None:
    command = [
        *(str(Path(sys.executable).parent / "schemathesis"), "run", "--no-color"),
        *("--max-examples", "20", "--seed", "1", "--generation-database", "none"),
        *("--header", f"Authorization: Bearer {acme}"),
        f"{serving.url}/v1/openapi.json",
    ]
    outcome = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert outcome.returncode == 0, outcome.stdout[-6_000:]


def test_latency_as_a_figure_to_read(serving: ServingProcess, acme: str) -> None:
    detected = rows(serving, "SELECT count(*) FROM success_patterns WHERE detected")[0][0]
    took_ms = []
    with httpx.Client(headers={"Authorization": f"Bearer {acme}"}) as client:
        for number in range(300):
            body = {"context": {"industry": "retail"}, "path": ["view", "share"], "k": 10}
            started = time.perf_counter()
            assert client.post(f"{serving.url}/v1/patterns/match", json=body).status_code == 200
            if number >= 20:
                took_ms.append((time.perf_counter() - started) * 1_000)
    quantiles = statistics.quantiles(took_ms, n=100)
    print(
        f"\nmatch over {detected} patterns, one at a time: "
        f"p50 {quantiles[49]:.1f} ms, p95 {quantiles[94]:.1f} ms, p99 {quantiles[98]:.1f} ms"
    )


def test_a_revoked_key_stops_working(serving: ServingProcess) -> None:
    key = serving.key("globex")
    assert serving.match(key, path=["share"]).status_code == 200
    pool = Pool(serving.dsn, name="test-revoke")
    try:
        assert KeyStore(pool).revoke(key.split("_")[1])
    finally:
        pool.close()
    wait_for(
        "the key to be refused",
        lambda: serving.match(key, path=["share"]).status_code == 401,
        timeout_s=30,
    )


def test_postgres_away_is_503_and_recovery_is_unaided(serving: ServingProcess, acme: str) -> None:
    assert serving.match(acme, path=["share"]).status_code == 200
    serving.server.stop()
    try:
        answer = serving.match(acme, path=["share"])
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) >= 1
        assert "127.0.0.1" not in answer.text
        ready = serving.get("/ready")
        assert ready.status_code == 503
        assert list(ready.json()["degraded"]) == ["postgres"]
        assert serving.status("/health") == 200
        assert serving.match(None, path=["share"]).status_code == 401
    finally:
        serving.server.start()
    wait_for(
        "serving to recover",
        lambda: serving.match(acme, path=["share"]).status_code == 200,
        timeout_s=20,
    )
    assert serving.status("/ready") == 200


def test_a_request_in_flight_is_answered_before_the_process_ends(
    serving: ServingProcess, acme: str
) -> None:
    """Last in this file: the process is started again afterwards."""
    answers: list[int] = []
    with psycopg.connect(serving.dsn) as blocker:
        blocker.execute("LOCK TABLE success_patterns IN ACCESS EXCLUSIVE MODE")
        asking = threading.Thread(
            target=lambda: answers.append(serving.match(acme, path=["share"]).status_code)
        )
        asking.start()
        wait_for("the question to wait for the lock", lambda: _waiting(serving.dsn))
        serving.terminate()
        wait_for("new connections to be refused", lambda: serving.status("/health") == 0)
    asking.join(10)
    assert answers == [200]
    assert serving.exit_code() == 0
    serving.start()


def _waiting(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return row is not None and row[0] > 0
