"""The event writer's core on a real PostgreSQL: whatever the log holds, in whatever batches."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from infra.clock import ManualClock
from infra.kafka.consumer import ConsumedRecord, PartitionKey
from infra.topics import DEAD_LETTERS, LATE_EVENTS, LEARNING_EVENTS
from ingestion.events.codec import encode
from ingestion.events.dead_letter import DeadLetter
from ingestion.events.event import Event
from storage.postgres import event_store, ledger, offsets, outbox, window_events
from storage.postgres.errors import OffsetsMoved
from storage.postgres.offsets import Position
from storage.postgres.pool import connect
from storage.writers.event_writer import GROUP, EventWriter
from stream_jobs.patterns.accumulator import WindowEvent
from stream_jobs.patterns.window import WINDOW_SIZE_MS, window_start
from tests.support.builders import DAY_MS, event, random_log
from tests.support.kafka_log import MemoryLog
from tests.support.naive_patterns import winners

pytest_plugins = ["tests.support.postgres"]
pytestmark = pytest.mark.integration

TOPIC = LEARNING_EVENTS.name
LATER_MS = DAY_MS + 10 * WINDOW_SIZE_MS


class Bench:
    """A writer, its database and a log; `store` hands over what is new in the log."""

    def __init__(self, dsn: str, partitions: int = 1) -> None:
        self.dsn = dsn
        self.connection = connect(dsn, name="test")
        self.writer = EventWriter(ManualClock(LATER_MS))
        self.writer.open(self.connection)
        self.log = MemoryLog(TOPIC, partitions)
        self.positions: dict[PartitionKey, Position] = {}

    def store(self, size: int = 1_000) -> None:
        for batch in list(self.log.batches(size, positions=self.positions)):
            self.store_records(batch)

    def store_records(self, records: Sequence[ConsumedRecord]) -> None:
        stored = self.writer.store_batch(self.connection, records, self.positions)
        self.positions.update(stored.positions)

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement.encode(), parameters).fetchall()

    def one(self, statement: str, *parameters: Any) -> Any:
        ((value,),) = self.rows(statement, *parameters)
        return value

    def stored_events(self) -> dict[tuple[str, str], tuple[Any, ...]]:
        rows = self.rows(
            "SELECT client_id, event_id, session_id, event_type, event_time_ms, body_hash,"
            " industry, campaign_type, success, success_score, event_data FROM learning_events"
        )
        return {(row[0], row[1]): row[2:] for row in rows}

    def repairs(self) -> list[dict[str, Any]]:
        return [
            json.loads(value)
            for (value,) in self.rows(
                "SELECT value FROM outbox WHERE topic = %s ORDER BY id", LATE_EVENTS.name
            )
        ]

    def letters(self) -> list[tuple[str, int, int]]:
        return self.rows("SELECT reason, partition, offset_ FROM dead_letters ORDER BY 2, 3, 1")

    def generations(self) -> dict[tuple[str, str, int], int]:
        rows = self.rows(
            "SELECT client_id, session_id, (extract(epoch FROM window_start) * 1000)::bigint,"
            " generation FROM window_generations"
        )
        return {(row[0], row[1], row[2]): row[3] for row in rows}

    def books(self) -> ledger.Ledger:
        return ledger.read(self.connection, GROUP)


@pytest.fixture
def bench(database: str) -> Iterator[Bench]:
    made = Bench(database)
    yield made
    made.connection.close()


def expected(events: Sequence[Event]) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {
        made.identity: (
            made.session_id,
            made.event_type,
            made.event_time,
            made.body_hash,
            *made.facts,
            json.loads(made.event_data),
        )
        for made in winners(events)
    }


def rival(made: Event, *, wins: bool, **changes: Any) -> Event:
    """Another body under the same identity that wins or loses against `made`."""
    for number in range(1_000):
        other = event(
            made.event_id,
            client_id=made.client_id,
            **{"session_id": made.session_id, "at_ms": made.event_time, **changes},
            data={"other": number},
        )
        if (other.body_hash < made.body_hash) is wins:
            return other
    raise AssertionError("no such body found")


def test_an_event_is_stored_with_its_facts_and_its_body(bench: Bench) -> None:
    made = event(
        user_id="u-1",
        data={"industry": "retail", "success": True, "success_score": 7.25, "note": 'é "\\'},
    )
    bench.log.event(made)
    bench.store()
    assert bench.stored_events() == expected([made])
    assert bench.rows(
        "SELECT user_id, processing_status, received_at = event_time + interval '50 ms'"
        " FROM learning_events"
    ) == [("u-1", "stored", True)]


def test_exact_copies_are_stored_once_and_counted(bench: Bench) -> None:
    made = event()
    bench.log.events([made, made])
    bench.store()
    bench.log.event(made)
    bench.store()
    assert len(bench.stored_events()) == 1
    assert (bench.books().inserted, bench.books().duplicates) == (1, 2)
    assert bench.letters() == []
    assert bench.generations() == {}


@pytest.mark.parametrize("apart", [True, False], ids=["in two batches", "in one batch"])
@pytest.mark.parametrize("wins", [True, False], ids=["smaller comes last", "smaller comes first"])
def test_of_two_bodies_the_smaller_hash_stays_in_any_order(
    bench: Bench, apart: bool, wins: bool
) -> None:
    first = event()
    second = rival(first, wins=wins)
    bench.log.event(first)
    if apart:
        bench.store()
    bench.log.event(second)
    bench.store()
    assert bench.stored_events() == expected([first, second])
    loser_at = 0 if wins else 1
    assert bench.letters() == [("conflict", 0, loser_at)]
    books = bench.books()
    assert (books.inserted, books.conflicts, books.residue) == (1, 1, 0)
    raw = bytes(bench.one("SELECT raw FROM dead_letters"))
    loser = first if wins else second
    assert json.loads(raw) == json.loads(encode(loser)), "the losing body is kept whole"


def test_a_conflict_that_moves_an_event_raises_both_windows(bench: Bench) -> None:
    first = event(session_id="s-1")
    bench.log.event(first)
    bench.store()
    other_time = DAY_MS + WINDOW_SIZE_MS
    bench.log.event(rival(first, wins=True, session_id="s-2", at_ms=other_time))
    bench.store()
    assert bench.generations() == {("acme", "s-1", DAY_MS): 1, ("acme", "s-2", other_time): 1}
    assert {(r["session_id"], r["window_start"], r["reason"]) for r in bench.repairs()} == {
        ("s-1", DAY_MS, "replaced"),
        ("s-2", other_time, "replaced"),
    }
    windows = [("acme", "s-1", DAY_MS), ("acme", "s-2", other_time), ("acme", "s-3", DAY_MS)]
    found = window_events.read(bench.connection, windows)
    assert [len(found[window][1]) for window in windows] == [0, 1, 0]
    assert [found[window][0] for window in windows] == [1, 1, 0]


def test_a_losing_body_in_another_window_raises_that_window_only(bench: Bench) -> None:
    first = event()
    other_time = DAY_MS + WINDOW_SIZE_MS
    bench.log.events([first, rival(first, wins=False, at_ms=other_time)])
    bench.store()
    assert bench.generations() == {("acme", "s-1", other_time): 1}


def test_an_event_that_joins_a_raised_window_goes_to_the_repair(bench: Bench) -> None:
    first = event()
    bench.log.events([first, rival(first, wins=True)])
    bench.store()
    before = len(bench.repairs())
    bench.log.event(event("e-2", at_ms=DAY_MS + 1))
    bench.log.event(event("e-3", at_ms=DAY_MS + WINDOW_SIZE_MS))
    bench.store()
    (repair,) = bench.repairs()[before:]
    assert (repair["event_id"], repair["reason"]) == ("e-2", "generation")


def test_copies_without_a_time_keep_the_earliest_receipt_and_leave_no_ghost(bench: Bench) -> None:
    early = event(at_ms=None, received_at=DAY_MS)
    late_copy = event(at_ms=None, received_at=DAY_MS + WINDOW_SIZE_MS)
    assert early.body_hash == late_copy.body_hash
    bench.log.events([late_copy, early])
    bench.store()
    assert bench.stored_events() == expected([late_copy, early])
    assert bench.letters() == []
    assert set(bench.generations()) == {
        ("acme", "s-1", DAY_MS),
        ("acme", "s-1", DAY_MS + WINDOW_SIZE_MS),
    }


def test_a_late_event_is_stored_flagged_counted_and_sent_to_the_repair(bench: Bench) -> None:
    bench.log.event(event("now", at_ms=LATER_MS))
    bench.log.event(event("late", at_ms=DAY_MS))
    bench.store()
    assert (
        bench.one("SELECT processing_status FROM learning_events WHERE event_id = 'late'") == "late"
    )
    assert bench.books().late == 1
    assert bench.repairs() == [
        {
            "client_id": "acme",
            "session_id": "s-1",
            "window_start": DAY_MS,
            "event_id": "late",
            "event_time": DAY_MS,
            "reason": "late",
        }
    ]
    assert bench.rows("SELECT key FROM outbox") == [(b"s-1",)]


def test_lateness_is_the_same_in_any_batch_size_and_after_a_restart(database: str) -> None:
    log = random_log(5, events=400, span_ms=7_200_000, copies=0.1)
    rng = random.Random(5)
    for _ in range(60):  # stragglers
        origin = rng.randrange(len(log))
        log.insert(rng.randrange(origin, len(log)) + 1, log.pop(origin))
    flags = []
    for size in (1_000, 7):
        bench = Bench(database, partitions=3)
        bench.connection.execute("TRUNCATE learning_events, event_identities, consumer_offsets")
        bench.log.events(log)
        for batch in list(bench.log.batches(size)):
            positions = offsets.load(bench.connection, GROUP, [(TOPIC, n) for n in range(3)])
            bench.writer.store_batch(bench.connection, batch, positions)
        flags.append(
            bench.rows(
                "SELECT client_id, event_id, processing_status FROM learning_events ORDER BY 1, 2"
            )
        )
        bench.connection.close()
    assert flags[0] == flags[1]
    assert {status for _, _, status in flags[0]} == {"stored", "late"}


def test_undecodable_records_go_to_the_table_and_to_the_topic(bench: Bench) -> None:
    bench.log.append(b"\x00\xffgarbage")
    bench.log.append(None)
    bench.log.event(event())
    bench.log.heartbeat(DAY_MS + 1)
    bench.store()
    assert bench.letters() == [("not_json", 0, 0), ("empty", 0, 1)]
    published = [
        DeadLetter.from_bytes(value)
        for (value,) in bench.rows("SELECT value FROM outbox WHERE topic = %s", DEAD_LETTERS.name)
    ]
    assert [letter.raw for letter in published] == [b"\x00\xffgarbage", b""]
    books = bench.books()
    assert (books.records, books.inserted, books.heartbeats, books.dead_letters) == (4, 1, 1, 2)
    assert books.residue == 0


def test_a_huge_record_is_kept_whole_and_published_short(bench: Bench) -> None:
    bench.log.append(b"x" * 3_500_000)
    bench.store()
    assert bench.one("SELECT length(raw) FROM dead_letters") == 3_500_000
    assert bench.one("SELECT length(value) FROM outbox") < 2_000_000


BAD_BODIES = {
    "a NUL in the data": lambda raw: raw.replace(b'"good"', b'"\\u0000"'),
    "a lone surrogate in the data": lambda raw: raw.replace(b'"good"', b'"\\ud800"'),
    "a NUL in the session": lambda raw: raw.replace(b'"s-1"', b'"s\\u0000"'),
    "a session too long": lambda raw: raw.replace(b'"s-1"', b'"' + b"s" * 101 + b'"'),
    "a score out of range": lambda raw: raw.replace(
        b'"event_data"', b'"success_score":11.5,"event_data"'
    ),
}


@pytest.mark.parametrize("kind", BAD_BODIES)
def test_a_row_that_the_database_refuses_is_found_and_does_not_block_the_rest(
    bench: Bench, kind: str
) -> None:
    made = [event(f"e-{n}", data={"note": "good"}) for n in range(50)]
    for number, one in enumerate(made):
        raw = encode(one)
        bench.log.append(BAD_BODIES[kind](raw) if number in (13, 37) else raw)
    bench.store()
    assert len(bench.stored_events()) == 48
    assert [(p, o) for _reason, p, o in bench.letters()] == [(0, 13), (0, 37)]
    books = bench.books()
    assert (books.inserted, books.dead_letters, books.residue) == (48, 2, 0)


def test_a_refused_copy_leaves_its_place_to_an_acceptable_one(bench: Bench) -> None:
    good = event(data={"note": "good"})
    bad = rival(good, wins=True)
    bench.log.append(encode(bad).replace(b'"other"', b'"\\u0000"'))
    bench.log.event(good)
    bench.store()
    assert bench.stored_events() == expected([good])
    assert bench.letters() == [("refused_by_database", 0, 0)]


def test_a_refused_copy_never_replaces_the_stored_one(bench: Bench) -> None:
    good = event(data={"note": "good"})
    bench.log.event(good)
    bench.store()
    bad = encode(rival(good, wins=True)).replace(
        b'"event_data"', b'"success_score":11.5,"event_data"'
    )
    bench.log.append(bad)
    bench.store()
    assert bench.stored_events() == expected([good])
    assert bench.letters() == [("out_of_range", 0, 1)]
    assert bench.generations() == {}


def test_a_batch_that_another_process_stored_is_refused_whole(bench: Bench, database: str) -> None:
    bench.log.events([event("e-1"), event("e-2")])
    zombie = Bench(database)
    zombie.log = bench.log
    bench.store()
    before = (bench.stored_events(), bench.books())
    with pytest.raises(OffsetsMoved):
        zombie.store()
    assert (bench.stored_events(), bench.books()) == before
    zombie.positions = offsets.load(zombie.connection, GROUP, [(TOPIC, 0)])
    zombie.log.event(event("e-3"))
    zombie.store()
    assert len(bench.stored_events()) == 3
    zombie.connection.close()


def test_any_log_in_any_batches_ends_in_the_oracles_events_with_exact_books(database: str) -> None:
    log = random_log(11, events=1_500, copies=0.2, conflicts=0.1)
    for size in (10_000, 37):
        bench = Bench(database, partitions=4)
        bench.connection.execute(
            "TRUNCATE learning_events, event_identities, consumer_offsets, dead_letters, outbox,"
            " window_generations"
        )
        bench.log.events(log)
        bench.store(size)
        assert bench.stored_events() == expected(log)
        books = bench.books()
        assert books.records == len(log)
        assert books.inserted == len(expected(log))
        assert books.residue == 0
        assert books.next_offsets == len(log)
        bench.connection.close()


def test_reading_the_whole_log_again_changes_no_event(bench: Bench) -> None:
    log = random_log(3, events=500, copies=0.2, conflicts=0.1)
    bench.log.events(log)
    bench.store(100)
    before = bench.rows("SELECT * FROM learning_events ORDER BY event_time, client_id, event_id")
    bench.connection.execute("UPDATE consumer_offsets SET next_offset = 0, watermark_ms = NULL")
    bench.positions = {}
    bench.store(73)
    after = bench.rows("SELECT * FROM learning_events ORDER BY event_time, client_id, event_id")
    assert after == before
    assert bench.books().residue == 0


class Crash(Exception):
    """The process dies here."""


STEPS = [
    (offsets, "claim"),
    (event_store, "stage"),
    (event_store, "claim_identities"),
    (event_store, "insert_staged"),
    (event_store, "staged_in_raised_windows"),
    (outbox, "add"),
    (offsets, "advance"),
]


@pytest.mark.parametrize(("module", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_crash_after_any_step_leaves_nothing_of_the_batch(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    log = random_log(9, events=60, copies=0.2, conflicts=0.2)
    bench.log.events(log)
    bench.log.append(b"garbage")
    original = getattr(module, name)

    def crashing(*arguments: Any, **keywords: Any) -> Any:
        original(*arguments, **keywords)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(module, name, crashing)
        with pytest.raises(Crash):
            bench.store()
    tables = ("learning_events", "event_identities", "consumer_offsets", "outbox", "dead_letters")
    for table in (*tables, "window_generations"):
        assert bench.one(f"SELECT count(*) FROM {table}") == 0, table
    bench.store()
    assert bench.stored_events() == expected(log)
    assert bench.books().residue == 0


def test_the_repair_reads_every_event_of_a_window_and_no_other(bench: Bench) -> None:
    log = random_log(21, events=800, copies=0.1, conflicts=0.05)
    bench.log.events(log)
    bench.store()
    windows: dict[tuple[str, str, int], list[WindowEvent]] = {}
    for made in winners(log):
        key = (made.client_id, made.session_id, window_start(made.event_time))
        windows.setdefault(key, []).append(WindowEvent.of(made))
    found = window_events.read(bench.connection, list(windows))
    assert {key: set(events) for key, (_generation, events) in found.items()} == {
        key: set(events) for key, events in windows.items()
    }


def test_two_writers_with_copies_of_each_others_events_never_deadlock(database: str) -> None:
    import threading

    log = random_log(31, events=3_000, copies=0.0, conflicts=0.0)
    shuffled = [random.Random(seed).sample(log, len(log)) for seed in (1, 2)]
    troubles: list[BaseException] = []

    def work(partition: int) -> None:
        bench = Bench(database, partitions=2)
        try:
            for made in shuffled[partition]:
                bench.log.append(encode(made), partition=partition)
            bench.store(100)
        except BaseException as error:
            troubles.append(error)
        finally:
            bench.connection.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert troubles == []
    check = Bench(database, partitions=2)
    assert check.stored_events() == expected(log)
    books = check.books()
    assert (books.inserted, books.duplicates, books.residue) == (3_000, 3_000, 0)
    check.connection.close()
