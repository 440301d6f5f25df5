"""What the writers stand on: migrations, partitions, keys, the outbox, and errors sorted right."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from infra.clock import ManualClock
from infra.errors import RetryLater
from infra.kafka.producer import Record
from storage.postgres import migrate, outbox, partitions
from storage.postgres.errors import MigrationRefused, PostgresAway, RowRefused, SchemaMismatch
from storage.postgres.keys import KeyRefused, KeyStore, hash_key
from storage.postgres.pool import Connection, Pool, connect, transaction
from storage.writers.outbox_relay import OutboxRelay
from tests.support.postgres import PostgresServer, free_port

pytest_plugins = ["tests.support.postgres"]
pytestmark = pytest.mark.integration


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    made = connect(database, name="test")
    yield made
    made.close()


@pytest.fixture
def empty(postgres_server: PostgresServer) -> str:
    """Connection string of a database without any table."""
    return postgres_server.create_database()


def folder_with(path: Path, *statements: str) -> Path:
    for number, statement in enumerate(statements, start=1):
        (path / f"{number:04d}_step.sql").write_text(statement)
    return path


def test_migrations_are_applied_once_and_in_order(empty: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "CREATE TABLE a (x int)", "ALTER TABLE a ADD y int")
    assert [state.applied_at for state in migrate.status(empty, folder)] == [None, None]
    assert migrate.apply(empty, folder) == ["0001_step", "0002_step"]
    assert migrate.apply(empty, folder) == []
    assert all(state.applied_at for state in migrate.status(empty, folder))


def test_an_applied_file_that_changed_is_refused_by_name(empty: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "CREATE TABLE a (x int)")
    migrate.apply(empty, folder)
    folder_with(tmp_path, "CREATE TABLE a (x bigint)", "CREATE TABLE b (x int)")
    with pytest.raises(MigrationRefused, match="0001_step was changed"):
        migrate.apply(empty, folder)
    with connect(empty, name="test") as connection:
        assert connection.execute("SELECT to_regclass('b')").fetchone() == (None,)


def test_a_database_that_is_ahead_of_this_release_is_refused(empty: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "CREATE TABLE a (x int)", "CREATE TABLE b (x int)")
    migrate.apply(empty, folder)
    (folder / "0002_step.sql").unlink()
    with pytest.raises(MigrationRefused, match="0002_step, which this release lacks"):
        migrate.apply(empty, folder)


def test_a_failing_migration_leaves_nothing_and_keeps_those_before(
    empty: str, tmp_path: Path
) -> None:
    folder = folder_with(tmp_path, "CREATE TABLE a (x int)", "CREATE TABLE b (x int); SELECT no")
    with pytest.raises(SchemaMismatch):
        migrate.apply(empty, folder)
    with connect(empty, name="test") as connection:
        found = connection.execute("SELECT to_regclass('a'), to_regclass('b')").fetchone()
    assert found == ("a", None)


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0002_step.sql").write_text("SELECT 1")
    with pytest.raises(MigrationRefused, match="should be number 0001"):
        migrate.load(tmp_path)


def test_runners_that_start_together_take_turns(empty: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "CREATE TABLE a (x int)", "SELECT pg_sleep(0.2)")
    outcomes: list[list[str]] = []

    def run() -> None:
        outcomes.append(migrate.apply(empty, folder))

    in_parallel(run, 3)
    assert sorted(outcomes, key=len) == [[], [], ["0001_step", "0002_step"]]


def test_every_month_of_two_years_back_and_one_ahead_exists(connection: Connection) -> None:
    for table in ("learning_events", "session_windows"):
        months = connection.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = %s::regclass", (table,)
        ).fetchone()
        assert months is not None
        assert months[0] >= 25 + 1 + 12
    first, end = partitions.coverage(connection)
    row = connection.execute(
        "SELECT (extract(epoch FROM now() - interval '2 years 7 days') * 1000)::bigint,"
        " (extract(epoch FROM now() + interval '12 months') * 1000)::bigint"
    ).fetchone()
    assert row is not None
    assert first <= row[0]
    assert row[1] <= end


def test_partitions_are_made_by_any_number_of_callers_at_once(database: str) -> None:
    made: list[int] = []

    def run() -> None:
        with connect(database, name="test") as connection:
            row = connection.execute(
                "SELECT manage_partitions(now() + interval '3 months')"
            ).fetchone()
            assert row is not None
            made.append(row[0])

    in_parallel(run, 4)
    assert sorted(made) == [0, 0, 0, 6]


def test_the_next_month_is_there_on_every_day_of_fourteen_months(connection: Connection) -> None:
    for days in range(14 * 31):
        connection.execute("SELECT manage_partitions(now() + %s * interval '1 day')", (days,))
        found = connection.execute(
            "SELECT to_regclass('learning_events_' || to_char((now() + %s * interval '1 day')"
            " AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')) IS NOT NULL",
            (days,),
        ).fetchone()
        assert found == (True,), f"day {days}"


def test_partitions_are_made_while_a_writer_holds_its_transaction(
    connection: Connection, database: str
) -> None:
    with connect(database, name="test") as other, transaction(connection):
        connection.execute(
            "INSERT INTO session_windows (window_start, algorithm_version, generation, revision,"
            " client_id, session_id, engine, industry, campaign_type, observations)"
            " VALUES (now(), 1, 0, 1, 'c', 's', 'e', 'i', 't', '[]')"
        )
        other.execute("SET lock_timeout = '2s'")
        made = other.execute("SELECT manage_partitions(now() + interval '1 month')").fetchone()
    assert made == (2,)


def test_a_month_in_a_far_time_zone_is_the_same_month(connection: Connection) -> None:
    connection.execute("SET timezone = 'Pacific/Kiritimati'")
    row = connection.execute("SELECT manage_partitions()").fetchone()
    assert row == (0,)


def test_a_key_is_shown_once_and_stored_as_a_hash(database: str) -> None:
    pool = Pool(database, name="test")
    store = KeyStore(pool)
    shown, secret = store.create("acme", ["ingest", "read"], "laptop")
    prefix, key_id, tail = secret.split("_")
    assert (prefix, len(key_id), len(tail)) == ("ssk", 8, 43)
    found = store.find(key_id)
    assert found is not None
    assert found.key_hash == hash_key(secret)
    assert (found.client_id, found.scopes) == ("acme", {"ingest", "read"})
    assert not found.revoked
    with pool.connection() as connection:
        everything = str(connection.execute("SELECT api_keys::text FROM api_keys").fetchall())
    assert tail not in everything
    assert [key.key_id for key in store.list()] == [shown.key_id]
    assert store.revoke(key_id)
    revoked = store.find(key_id)
    assert revoked is not None
    assert revoked.revoked
    assert not store.revoke("unknown1")
    assert store.find("unknown1") is None
    pool.close()


@pytest.mark.parametrize(
    ("client_id", "scopes"),
    [("", ["read"]), ("a b", ["read"]), ("x" * 51, ["read"]), ("ok", []), ("ok", ["root"])],
)
def test_a_key_that_breaks_a_rule_is_refused(
    database: str, client_id: str, scopes: list[str]
) -> None:
    pool = Pool(database, name="test")
    with pytest.raises(KeyRefused):
        KeyStore(pool).create(client_id, scopes, "")
    pool.close()


def records(first: int, count: int) -> list[Record]:
    return [Record("topic", b"k", b"%d" % n) for n in range(first, first + count)]


class Published:
    """Plays Kafka: remembers values, or fails as told."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self.failures = 0

    def __call__(self, batch: Sequence[Record]) -> None:
        if self.failures:
            self.failures -= 1
            raise RetryLater("Kafka is away")
        self.values += [int(record.value or b"") for record in batch]


def test_the_outbox_is_published_in_order_and_emptied(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "ROWS_MAX", 7)
    published = Published()
    for first in range(0, 50, 10):
        with transaction(connection):
            outbox.add(connection, "w", records(first, 10))
    while outbox.relay(connection, "w", published):
        pass
    assert published.values == list(range(50))
    assert outbox.waiting(connection, "w") == 0


def test_a_batch_that_is_rolled_back_publishes_nothing(connection: Connection) -> None:
    with transaction(connection, force_rollback=True):
        outbox.add(connection, "w", records(0, 3))
    assert outbox.waiting(connection, "w") == 0


def test_rows_stay_until_kafka_has_confirmed_them(connection: Connection) -> None:
    outbox.add(connection, "w", records(0, 3))
    published = Published()
    published.failures = 1
    with pytest.raises(RetryLater):
        outbox.relay(connection, "w", published)
    assert outbox.waiting(connection, "w") == 3
    assert outbox.relay(connection, "w", published) == 3
    assert published.values == [0, 1, 2]


def test_a_crash_between_publishing_and_deleting_repeats_and_loses_nothing(
    connection: Connection,
) -> None:
    outbox.add(connection, "w", records(0, 3))
    published = Published()

    def publish_and_die(batch: Sequence[Record]) -> None:
        published(batch)
        raise RuntimeError("killed here")

    with pytest.raises(RuntimeError):
        outbox.relay(connection, "w", publish_and_die)
    assert outbox.relay(connection, "w", published) == 3
    assert published.values == [0, 1, 2, 0, 1, 2]


def test_one_process_at_a_time_publishes_for_a_writer(
    connection: Connection, database: str
) -> None:
    outbox.add(connection, "w", records(0, 3))
    outbox.add(connection, "v", records(3, 1))
    others: list[int | None] = []
    with connect(database, name="test") as other:

        def meanwhile(_batch: Sequence[Record]) -> None:
            others.append(outbox.relay(other, "w", Published()))
            others.append(outbox.relay(other, "v", Published()))

        outbox.relay(connection, "w", meanwhile)
    assert others == [None, 1]


def test_large_rows_are_published_a_few_at_a_time(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BYTES_MAX", 1_000)
    outbox.add(connection, "w", [Record("t", None, b"x" * 900) for _ in range(3)])
    sizes: list[int] = []
    while outbox.relay(connection, "w", lambda batch: sizes.append(len(batch))):
        pass
    assert sizes == [2, 1]


def test_the_relay_thread_publishes_leftovers_and_what_follows(
    connection: Connection, database: str
) -> None:
    outbox.add(connection, "w", records(0, 2))
    published = Published()
    published.failures = 1

    def open_connection() -> Connection:
        return connect(database, name="relay")

    with OutboxRelay("w", open_connection, published, ManualClock()) as relay:
        wait_until(lambda: published.values == [0, 1])
        outbox.add(connection, "w", records(2, 2))
        relay.wake()
        wait_until(lambda: published.values == [0, 1, 2, 3])
        assert relay.trouble is None
    assert outbox.waiting(connection, "w") == 0


def test_a_server_that_is_not_there_is_away_not_broken() -> None:
    dsn = f"host=127.0.0.1 port={free_port()} user=u dbname=d password=s3cret connect_timeout=2"
    with pytest.raises(PostgresAway) as caught:
        connect(dsn, name="test")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT '\\u0000'::jsonb ->> 0", RowRefused),
        ("SELECT 1/0", RowRefused),
        ("INSERT INTO window_generations VALUES (now(), 'c', 's', 0)", RowRefused),
        ("SELECT * FROM no_such_table", SchemaMismatch),
        ("SET statement_timeout = 10; SELECT pg_sleep(5)", PostgresAway),
    ],
)
def test_errors_are_sorted_by_what_to_do(
    connection: Connection, statement: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind), transaction(connection):
        connection.execute(statement.encode())


def test_a_lost_connection_is_away(connection: Connection, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    with pytest.raises(PostgresAway), transaction(connection):
        connection.execute("SELECT 1")


def in_parallel(work: object, count: int) -> None:
    assert callable(work)
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def wait_until(condition: object, timeout_s: float = 30.0) -> None:
    assert callable(condition)
    waiting = threading.Event()
    for _ in range(int(timeout_s / 0.02)):
        if condition():
            return
        waiting.wait(0.02)
    raise AssertionError("the condition did not come true in time")
