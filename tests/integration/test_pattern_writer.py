"""The pattern writer's core on a real PostgreSQL: totals are a function of the windows alone."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from infra.clock import ManualClock
from infra.errors import CannotRun
from infra.kafka.consumer import ConsumedRecord, PartitionKey
from infra.topics import PATTERN_UPDATES, SESSION_WINDOWS
from ingestion.events.event import Event
from storage.postgres import (
    ledger,
    offsets,
    pattern_reads,
    pattern_store,
    refresh_store,
    window_store,
)
from storage.postgres.offsets import Position
from storage.postgres.pattern_reads import Audience, PatternFilters
from storage.postgres.pool import connect
from storage.postgres.state_hash import state_hash
from storage.writers.pattern_refresh import Limits, refresh
from storage.writers.pattern_writer import GROUP, PatternWriter
from stream_jobs.patterns import confidence as formulas
from stream_jobs.patterns.accumulator import WindowAccumulator, WindowEvent
from stream_jobs.patterns.embedding import embed, embed_query
from stream_jobs.patterns.pattern_hash import pattern_hash
from stream_jobs.patterns.window import window_start
from stream_jobs.patterns.window_result import WindowResult, result_of
from tests.support.builders import DAY_MS, random_log, window_event
from tests.support.kafka_log import MemoryLog
from tests.support.naive_patterns import naive_results, naive_totals

pytest_plugins = ["tests.support.postgres"]
pytestmark = pytest.mark.integration

TOPIC = SESSION_WINDOWS.name
LIMITS = Limits(confidence_min=0.7, sample_size_min=20, patterns_max=50)


class Bench:
    """A writer, its database and a log of window results."""

    def __init__(self, dsn: str, partitions: int = 1) -> None:
        self.connection = connect(dsn, name="test", vectors=True)
        self.clock = ManualClock(DAY_MS)
        self.writer = PatternWriter(self.clock, LIMITS)
        self.writer.open(self.connection)
        self.log = MemoryLog(TOPIC, partitions)
        self.positions: dict[PartitionKey, Position] = {}

    def put(self, results: Sequence[WindowResult]) -> None:
        for result in results:
            partition = self.log.partition_of(result.key().decode())
            self.log.append(result.encode(), partition=partition)

    def store(self, size: int = 1_000) -> None:
        for batch in list(self.log.batches(size, positions=self.positions)):
            self.store_records(batch)

    def store_records(self, records: Sequence[ConsumedRecord]) -> None:
        stored = self.writer.store_batch(self.connection, records, self.positions)
        self.positions.update(stored.positions)

    def refresh(self) -> bool:
        return refresh(self.connection, LIMITS, writer=GROUP)

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement.encode(), parameters).fetchall()

    def one(self, statement: str, *parameters: Any) -> Any:
        ((value,),) = self.rows(statement, *parameters)
        return value

    def totals(self) -> dict[tuple[str, str, tuple[str, ...] | None], tuple[int, int]]:
        """As the oracle gives them; what counts nothing is left out."""
        patterns = self.rows(
            "SELECT industries[1], campaign_type, path, sample_size, success_ppm_sum"
            " FROM success_patterns WHERE sample_size <> 0 OR success_ppm_sum <> 0"
        )
        contexts = self.rows(
            "SELECT industry, campaign_type, NULL, trials, success_ppm_sum"
            " FROM context_totals WHERE trials <> 0 OR success_ppm_sum <> 0"
        )
        return {
            (industry, campaign, None if path is None else tuple(path)): (trials, success)
            for industry, campaign, path, trials, success in patterns + contexts
        }

    def published(self) -> list[dict[str, Any]]:
        rows = self.rows(
            "SELECT key, value FROM outbox WHERE topic = %s ORDER BY id", PATTERN_UPDATES.name
        )
        bodies = [json.loads(value) for _key, value in rows]
        assert [key.decode() for key, _ in rows] == [body["pattern_hash"] for body in bodies]
        return bodies

    def clear(self) -> None:
        self.connection.execute(
            "TRUNCATE session_windows, success_patterns, pattern_contributors, context_totals,"
            " consumer_offsets, dead_letters, outbox"
        )


@pytest.fixture
def bench(database: str) -> Iterator[Bench]:
    made = Bench(database)
    yield made
    made.connection.close()


def final_results(log: Sequence[Event]) -> list[WindowResult]:
    """The last result of every window of a log."""
    return [revisions[-1] for revisions in all_revisions(log, seed=0, per_window=1)]


def all_revisions(
    log: Sequence[Event], *, seed: int, per_window: int = 4
) -> list[list[WindowResult]]:
    """For every window a few results over growing parts of its events, the last over all."""
    rng = random.Random(seed)
    windows: dict[tuple[str, str, int], list[Event]] = {}
    for made in log:
        key = (made.client_id, made.session_id, window_start(made.event_time))
        windows.setdefault(key, []).append(made)
    revisions = []
    for key, events in sorted(windows.items()):
        cuts = sorted({rng.randint(1, len(events)) for _ in range(per_window - 1)} | {len(events)})
        revisions.append(
            [
                result_of(
                    key,
                    WindowAccumulator(WindowEvent.of(made) for made in events[:cut]),
                    engine=rng.choice(("flink", "late-repair")),
                )
                for cut in cuts
            ]
        )
    return revisions


def window(
    *steps: str, session: str = "s-1", client: str = "acme", start: int = DAY_MS, **facts: Any
) -> WindowResult:
    """One window with these steps, a second apart."""
    events = [
        window_event(f"e-{n}", event_type=step, at_ms=start + n * 1_000, data=facts)
        for n, step in enumerate(steps)
    ]
    return result_of((client, session, start), WindowAccumulator(events), engine="flink")


def contrast(windows: int = 200) -> list[WindowResult]:
    """`good` leads to success and `bad` does not; three clients."""
    return [
        window(
            *(("good", "offer.accepted") if n % 4 == 0 else ("bad", "offer.dismissed")),
            session=f"s-{n}",
            client=("acme", "globex", "initech")[n % 3],
        )
        for n in range(windows)
    ]


def test_a_window_becomes_a_row_and_its_observations_become_totals(bench: Bench) -> None:
    bench.put([window("view", "goal.achieved", industry="retail")])
    bench.store()
    assert bench.totals() == {
        ("retail", "unknown", None): (1, 1_000_000),
        ("retail", "unknown", ("view",)): (1, 1_000_000),
        ("retail", "unknown", ("goal.achieved",)): (1, 0),
        ("retail", "unknown", ("view", "goal.achieved")): (1, 0),
    }
    row = bench.rows(
        "SELECT pattern_type, conditions, client_count, algorithm_version, first_seen = last_seen"
        " FROM success_patterns WHERE path = %s",
        ["view"],
    )
    conditions = {"industry": "retail", "campaign_type": "unknown", "path": ["view"]}
    assert row == [("session_path", conditions, 1, 1, True)]
    assert bench.one("SELECT observations FROM session_windows")[0] == [None, 1_000_000]


def test_a_pattern_is_stored_under_its_hash_with_its_embedding(bench: Bench) -> None:
    bench.put([window("view", "like", industry="retail")])
    bench.store()
    hash_ = pattern_hash("retail", "unknown", ("view", "like"))
    (stored,) = bench.rows("SELECT embedding FROM success_patterns WHERE pattern_hash = %s", hash_)
    assert stored[0].to_list() == embed("retail", "unknown", ("view", "like")).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_revisions_and_copies_ends_in_the_oracles_totals(
    database: str, seed: int
) -> None:
    log = random_log(seed, events=600, copies=0.1)
    expected = {key: value for key, value in naive_totals(log).items() if value != (0, 0)}
    messages = [result for revisions in all_revisions(log, seed=seed) for result in revisions]
    rng = random.Random(seed)
    messages += rng.sample(messages, len(messages) // 3)
    hashes = set()
    for size in (5_000, 41):
        rng.shuffle(messages)
        bench = Bench(database, partitions=4)
        bench.clear()
        bench.put(messages)
        bench.store(size)
        assert bench.totals() == expected
        while not bench.refresh():
            pass
        hashes.add(state_hash(bench.connection))
        assert ledger.read(bench.connection, GROUP).residue == 0
        bench.connection.close()
    assert len(hashes) == 1


def test_windows_equal_the_oracles(bench: Bench) -> None:
    log = random_log(77, events=600)
    bench.put([result for revisions in all_revisions(log, seed=1) for result in revisions])
    bench.store()
    stored = {
        (client, session, start): (
            revision,
            tuple((i, c, None if path is None else tuple(path), ppm) for path, ppm in seen),
        )
        for client, session, start, revision, i, c, seen in bench.rows(
            "SELECT client_id, session_id, (extract(epoch FROM window_start) * 1000)::bigint,"
            " revision, industry, campaign_type, observations FROM session_windows"
        )
    }
    assert stored == naive_results(log)


def test_reading_the_log_again_changes_nothing(bench: Bench) -> None:
    log = random_log(8, events=700)
    bench.put([result for revisions in all_revisions(log, seed=8) for result in revisions])
    bench.store(100)
    assert bench.refresh()
    before = state_hash(bench.connection)
    updates = len(bench.published())
    bench.connection.execute("UPDATE consumer_offsets SET next_offset = 0")
    bench.positions = {}
    bench.store(33)
    assert bench.one("SELECT count(*) FROM context_totals WHERE dirty_since IS NOT NULL") == 0
    assert bench.refresh()
    assert state_hash(bench.connection) == before
    assert len(bench.published()) == updates


def test_a_higher_generation_outranks_a_higher_revision(bench: Bench) -> None:
    engine = window("view", "like", "goal.achieved")
    repaired = WindowResult(
        engine.client_id,
        engine.session_id,
        engine.window_start,
        engine.algorithm_version,
        1,
        0,
        "late-repair",
        (),
    )
    bench.put([engine, repaired, engine])
    bench.store(1)
    assert bench.totals() == {}
    assert bench.rows("SELECT generation, revision FROM session_windows") == [(1, 0)]
    assert bench.one("SELECT max(client_count) FROM success_patterns") == 0


def test_a_window_that_changes_its_context_moves_its_trials(bench: Bench) -> None:
    bench.put([window("view", industry="retail")])
    bench.store()
    bench.put([window("view", "like", industry="media")])
    bench.store()
    assert {key[0] for key in bench.totals()} == {"media"}
    assert bench.totals()["media", "unknown", ("view",)] == (1, 0)


def test_clients_are_counted_while_they_have_a_trial(bench: Bench) -> None:
    for client in ("acme", "globex"):
        bench.put([window("view", client=client), window("view", client=client, session="s-2")])
    bench.store()
    assert bench.one("SELECT client_count FROM success_patterns") == 2
    gone = window("view", client="globex")
    for session in ("s-1", "s-2"):
        bench.log.append(
            WindowResult("globex", session, gone.window_start, 1, 1, 0, "late-repair", ()).encode()
        )
    bench.store()
    assert bench.rows("SELECT client_count, sample_size FROM success_patterns") == [(1, 2)]


MALFORMED = {
    "not JSON": b"\xff\x00",
    "no value": None,
    "another shape": b'{"a":1}',
    "another algorithm": window("view").encode().replace(b'version":1', b'version":9'),
    "a path twice": window("view").encode().replace(b'["view"],0]', b'["view"],0],[["view"],0]'),
    "success out of range": window("view").encode().replace(b"],0]", b"],1000001]"),
    "a NUL in a path": window("view").encode().replace(b'"view"', b'"\\u0000"'),
    "a lone surrogate": window("view").encode().replace(b'"view"', b'"\\ud800"'),
    "not NFC": window("view").encode().replace(b'"view"', b'"e\\u0301"'),
    "a client id too long": window("view").encode().replace(b'"acme"', b'"' + b"c" * 51 + b'"'),
    "a time out of range": window("view").encode().replace(str(DAY_MS).encode(), b"300000"),
    "a revision out of range": window("view")
    .encode()
    .replace(b'revision":1', b'revision":3000000000'),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_message_is_a_dead_letter_and_the_rest_goes_on(bench: Bench, kind: str) -> None:
    bench.put([window("like", session="before")])
    bench.log.append(MALFORMED[kind])
    bench.put([window("like", session="after")])
    bench.store()
    (letter,) = bench.rows("SELECT topic, partition, offset_, raw FROM dead_letters")
    assert letter == (TOPIC, 0, 1, MALFORMED[kind] or b"")
    assert bench.one("SELECT count(*) FROM outbox WHERE topic = 'learning-events.dlq'") == 1
    assert bench.totals()["unknown", "unknown", ("like",)] == (2, 0)
    books = ledger.read(bench.connection, GROUP)
    assert (books.inserted, books.dead_letters, books.residue) == (2, 1, 0)


def test_confidence_lift_and_detection_follow_from_the_totals(bench: Bench) -> None:
    bench.put(contrast())
    bench.store()
    assert bench.refresh()
    totals = bench.totals()
    for industry, campaign, path, rate, confidence, lift, detected, outcomes in bench.rows(
        "SELECT industries[1], campaign_type, path, success_rate::float8,"
        " confidence_score::float8, lift, detected, outcomes FROM success_patterns"
    ):
        own = totals[industry, campaign, tuple(path)]
        base = totals[industry, campaign, None]
        assert rate == formulas.success_rate(*own)
        assert confidence == formulas.confidence(*own, *base)
        assert lift == formulas.lift(*own, *base)
        low, high = formulas.wilson_interval(*own)
        assert outcomes == {"success_rate_low": low, "success_rate_high": high}
        assert detected == (confidence > 0.7 and own[0] >= 20)
    assert bench.rows("SELECT path FROM success_patterns WHERE detected") == [(["good"],)]


def test_what_is_newly_detected_moves_or_is_lost_is_published_as_its_row(bench: Bench) -> None:
    bench.put(contrast())
    bench.store()
    assert bench.refresh()
    (found,) = bench.published()
    assert (found["path"], found["detected"], found["sample_size"]) == (["good"], True, 50)
    bench.put([window("good", "offer.accepted", session="more")])
    bench.store()
    assert bench.refresh()
    assert bench.published()[-1]["sample_size"] == 51
    for number in range(400):
        bench.put([window("good", "offer.dismissed", session=f"worse-{number}")])
        bench.put([window("bad", "offer.accepted", session=f"better-{number}")])
    bench.store()
    assert bench.refresh()
    last = next(body for body in reversed(bench.published()) if body["path"] == ["good"])
    assert last["detected"] is False
    count = len(bench.published())
    bench.put([window("good", "offer.dismissed", session="quiet")])
    bench.store()
    assert bench.refresh()
    news = [body["path"] for body in bench.published()[count:]]
    assert ["good"] not in news, "what is not detected is nobody's business"


def test_a_refresh_with_nothing_marked_writes_nothing(bench: Bench) -> None:
    bench.put(contrast())
    bench.store()
    assert bench.refresh()
    before = bench.rows("SELECT pattern_hash, xmin::text FROM success_patterns ORDER BY 1")
    assert bench.refresh()
    after = bench.rows("SELECT pattern_hash, xmin::text FROM success_patterns ORDER BY 1")
    assert after == before


def test_a_crash_in_the_refresh_leaves_the_context_marked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = random_log(4, events=1_500)
    bench.put(final_results(log))
    bench.store()
    original = refresh_store.store
    calls = 0

    def crashing(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Crash
        return original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(refresh_store, "store", crashing)
        with pytest.raises(Crash):
            bench.refresh()
    assert bench.one("SELECT count(*) FROM success_patterns WHERE NOT pending") == 100
    assert bench.one("SELECT count(*) FROM context_totals WHERE dirty_since IS NOT NULL") > 0
    assert bench.refresh()
    assert bench.one("SELECT count(*) FROM success_patterns WHERE pending") == 0


def test_totals_that_change_during_a_refresh_are_refreshed_again(
    bench: Bench, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.put(contrast())
    bench.store()
    other = Bench(database)
    other.positions = dict(bench.positions)
    other.log = bench.log
    original = refresh_store.store

    def interrupted(*arguments: Any) -> Any:
        with monkeypatch.context() as quiet:
            quiet.setattr(refresh_store, "store", original)
            other.put([window("good", "offer.dismissed", session="meanwhile")])
            other.store()
        return original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(refresh_store, "store", interrupted)
        assert not bench.refresh()
    assert bench.refresh()
    row = bench.rows(
        "SELECT sample_size, success_ppm_sum, confidence_score::float8 FROM success_patterns"
        " WHERE path = '{good}'"
    )
    base = bench.rows("SELECT trials, success_ppm_sum FROM context_totals")[0]
    assert row == [(51, 50_000_000, formulas.confidence(51, 50_000_000, *base))]
    other.connection.close()


def test_only_one_process_refreshes_at_a_time(bench: Bench, database: str) -> None:
    bench.put(contrast())
    bench.store()
    other = connect(database, name="test")
    with refresh_store.only_refresher(other) as mine:
        assert mine
        assert not bench.refresh()
        assert bench.published() == []
    assert bench.refresh()
    other.close()


def test_the_writer_refreshes_at_once_when_it_has_caught_up(bench: Bench) -> None:
    bench.put(contrast())
    bench.store()
    bench.writer.between_batches(bench.connection, caught_up=False)
    assert bench.published() == []
    bench.clock.advance_ms(400)
    bench.writer.between_batches(bench.connection, caught_up=False)
    assert bench.published() == []
    bench.writer.between_batches(bench.connection, caught_up=True)
    assert len(bench.published()) == 1


def test_a_pattern_that_vanished_behind_our_back_is_written_anew(bench: Bench) -> None:
    bench.put([window("view")])
    bench.store()
    bench.connection.execute("TRUNCATE success_patterns, pattern_contributors")
    bench.put([window("view", session="s-2")])
    bench.store()
    assert bench.rows("SELECT sample_size, embedding IS NULL FROM success_patterns") == [(1, False)]


def test_totals_that_do_not_add_up_stop_the_writer_and_keep_the_store(bench: Bench) -> None:
    bench.put([window("view", "goal.achieved")])
    bench.store()
    bench.connection.execute("UPDATE success_patterns SET sample_size = 0, success_ppm_sum = 0")
    gone = WindowResult("acme", "s-1", DAY_MS, 1, 1, 0, "late-repair", ())
    bench.log.append(gone.encode())
    with pytest.raises(CannotRun):
        bench.store()
    assert bench.one("SELECT revision FROM session_windows") == 2


class Crash(Exception):
    """The process dies here."""


STEPS = [
    (offsets, "claim"),
    (window_store, "keep_newer"),
    (pattern_store, "add_patterns"),
    (pattern_store, "add_contexts"),
    (offsets, "advance"),
]


@pytest.mark.parametrize(("module", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_crash_after_any_step_leaves_nothing_of_the_batch(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    log = random_log(6, events=300)
    bench.put(final_results(log))
    bench.log.append(b"garbage")
    original = getattr(module, name)

    def crashing(*arguments: Any, **keywords: Any) -> Any:
        original(*arguments, **keywords)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(module, name, crashing)
        with pytest.raises(Crash):
            bench.store()
    tables = ("session_windows", "success_patterns", "pattern_contributors", "context_totals")
    for table in (*tables, "consumer_offsets", "dead_letters", "outbox"):
        assert bench.one(f"SELECT count(*) FROM {table}") == 0, table
    bench.store()
    assert bench.totals() == {k: v for k, v in naive_totals(log).items() if v != (0, 0)}


def test_two_writers_at_once_on_a_skewed_load_are_exact_and_never_deadlock(database: str) -> None:
    log = random_log(13, events=3_000, sessions=200, clients=tuple(f"c-{n}" for n in range(12)))
    messages = [result for revisions in all_revisions(log, seed=13) for result in revisions]
    random.Random(13).shuffle(messages)
    shared = MemoryLog(TOPIC, 2)
    for result in messages:
        shared.append(result.encode(), partition=shared.partition_of(result.session_id))
    troubles: list[BaseException] = []

    def work(partition: int) -> None:
        bench = Bench(database)
        try:
            records = shared.partitions[partition]
            for first in range(0, len(records), 60):
                bench.store_records(records[first : first + 60])
                if first % 300 == 0:
                    bench.refresh()
        except BaseException as error:
            troubles.append(error)
        finally:
            bench.connection.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert troubles == []
    check = Bench(database)
    assert check.totals() == {k: v for k, v in naive_totals(log).items() if v != (0, 0)}
    assert (
        check.one("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    )
    while not check.refresh():
        pass
    concurrent = state_hash(check.connection)
    check.clear()
    check.log = shared
    check.store()
    while not check.refresh():
        pass
    assert state_hash(check.connection) == concurrent
    check.connection.close()


def test_updates_of_totals_touch_no_index(bench: Bench) -> None:
    """At least nine of ten new row versions stay on their page (HOT)."""
    log = random_log(2, events=1_500, sessions=400)
    messages = [result for revisions in all_revisions(log, seed=2) for result in revisions]
    random.Random(2).shuffle(messages)
    bench.put(messages)
    for batch in list(bench.log.batches(50)):
        bench.store_records(batch)
        bench.refresh()
    bench.connection.execute("SELECT pg_stat_force_next_flush()")
    updates, hot = bench.rows(
        "SELECT sum(n_tup_upd), sum(n_tup_hot_upd) FROM pg_stat_user_tables"
        " WHERE relname LIKE 'success_patterns%%'"
    )[0]
    assert updates > 2_000
    assert hot / updates >= 0.9


def test_readers_see_detected_patterns_of_their_own_or_of_enough_clients(bench: Bench) -> None:
    bench.put(contrast())
    bench.put(
        [
            window(
                *(("secret", "offer.accepted") if n % 2 else ("bad", "offer.dismissed")),
                session=f"own-{n}",
                client="acme",
            )
            for n in range(100)
        ]
    )
    bench.store()
    assert bench.refresh()
    question = embed_query(path=("secret",))

    def seen(client: str, **filters: Any) -> set[tuple[str, ...]]:
        audience = Audience(client, shared_min_clients=3)
        found = pattern_reads.match(
            bench.connection, question, 10, audience=audience, filters=PatternFilters(**filters)
        )
        assert [m.distance for m in found] == sorted(m.distance for m in found)
        return {m.pattern.path for m in found}

    assert seen("acme") == {("good",), ("secret",)}
    assert seen("globex") == {("good",)}
    assert seen("stranger") == {("good",)}
    assert seen("acme", industry="retail") == set()
    secret = pattern_hash("unknown", "unknown", ("secret",))
    for client, visible in (("acme", True), ("globex", False)):
        row = pattern_reads.get(bench.connection, secret, audience=Audience(client, 3))
        assert (row is not None) is visible
    bad = pattern_hash("unknown", "unknown", ("bad",))
    assert pattern_reads.get(bench.connection, bad, audience=Audience("acme", 3)) is None


def test_clients_and_sessions_with_odd_names_are_kept_apart(bench: Bench) -> None:
    bench.put(
        [window("view", session="a|b", client="c"), window("view", session="b", client="c|a")]
    )
    bench.store()
    assert bench.one("SELECT count(*) FROM session_windows") == 2
