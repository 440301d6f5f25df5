"""The ClickHouse stand-in and what lies on it, with the real engine and unmodified clients."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import lz4.frame
import pytest
import zstandard
from clickhouse_connect.driver.exceptions import DatabaseError

from infra.kafka.consumer import ConsumedRecord
from ingestion.events.codec import encode
from ingestion.events.event import Event
from storage.clickhouse import migrate
from storage.clickhouse.client import ClickHouse
from storage.clickhouse.errors import ClickHouseAway, ClickHouseRefused
from storage.writers.analytics_block import build
from stream_jobs.patterns.signals import SignalTable
from tests.support.builders import DAY_MS, event
from tests.support.clickhouse_process import ANALYST, WRITER, ClickHouseProcess
from tests.support.platform import wait_for

pytestmark = pytest.mark.integration
DAY = 86_400_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    process = ClickHouseProcess(tmp_path_factory.mktemp("clickhouse"))
    process.start()
    migrate.migrate(process.settings)
    yield process
    process.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ClickHouseProcess]:
    process = ClickHouseProcess(tmp_path)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def store(server: ClickHouseProcess) -> Iterator[ClickHouse]:
    store = ClickHouse(server.settings)
    store.command("TRUNCATE TABLE learning_events")
    yield store
    store.close()


def insert(store: ClickHouse, *events: Event, first_offset: int = 0) -> None:
    records = [
        ConsumedRecord("learning-events", 0, first_offset + number, None, encode(one), DAY_MS)
        for number, one in enumerate(events)
    ]
    block = build(records, SignalTable())
    assert not block.skipped
    store.insert("learning_events", block.columns, block.token)


# Clients


def test_clickhouse_connect_queries_with_parameters(server: ClickHouseProcess) -> None:
    with server.client() as client:
        row = client.query(
            "SELECT {number:Int32}, {text:String}, {list:Array(String)}, {at:DateTime}",
            parameters={
                "number": 5,
                "text": "it's\n\\ \t äöü",
                "list": ["a'b", "c"],
                "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            },
        ).first_row
    assert row == (5, "it's\n\\ \t äöü", ["a'b", "c"], datetime(2026, 1, 2, 3, 4, 5))


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_clickhouse_connect_inserts_and_reads_back(
    server: ClickHouseProcess, compress: bool | str
) -> None:
    with server.client(compress=compress) as client:
        client.command("CREATE OR REPLACE TABLE trial (n UInt64, s String) ENGINE = Memory")
        rows = [[number, f"row {number}"] for number in range(50_000)]
        assert client.insert("trial", rows, column_names=["n", "s"]).written_rows == 50_000
        assert client.query("SELECT * FROM trial ORDER BY n").result_rows[-1] == (
            49_999,
            "row 49999",
        )
        with client.query_row_block_stream("SELECT n FROM trial") as blocks:
            assert sum(len(block) for block in blocks) == 50_000


def test_clickhouse_connect_reads_arrow_and_inserts_raw(server: ClickHouseProcess) -> None:
    with server.client() as client:
        client.command("CREATE OR REPLACE TABLE raw (n UInt64) ENGINE = Memory")
        client.raw_insert("raw", ["n"], b'{"n":1}\n{"n":2}\n', fmt="JSONEachRow")
        assert client.query_arrow("SELECT n FROM raw ORDER BY n").to_pydict() == {"n": [1, 2]}


def test_errors_come_with_clickhouses_codes(server: ClickHouseProcess) -> None:
    with server.client() as client, pytest.raises(DatabaseError) as caught:
        client.query("SELECT * FROM nosuch")
    assert caught.value.code == 60
    for statement, code, status in (
        ("SELECT * FROM sagestream.nosuch", 60, 404),
        ("SELECT * FROM nosuch.t", 81, 404),
        ("SELECT nosuch", 47, 404),
        ("SELECT 1 +", 62, 400),
        ("SELECT 1; SELECT 2", 62, 400),
        ("SELECT toDate('x')", 38, 400),
        ("SELECT 1 FORMAT Nope", 73, 404),
        ("SELECT throwIf(1)", 395, 500),
        ("SELECT sleep(2) SETTINGS max_execution_time = 1", 159, 408),
    ):
        answer = server.post(statement)
        assert answer.headers["X-ClickHouse-Exception-Code"] == str(code), answer.text
        assert answer.status_code == status, answer.text
        assert answer.text.startswith(f"Code: {code}. DB::Exception: ")


def test_curl_style_requests(server: ClickHouseProcess) -> None:
    answer = server.post("SELECT number FROM numbers(2)", default_format="JSONEachRow")
    assert answer.text == '{"number":0}\n{"number":1}\n'
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["result_rows"] == "2"
    got = httpx.get(
        server.url,
        params={"query": "SELECT {a:UInt8} + 1", "param_a": "41"},
        headers={"X-ClickHouse-User": WRITER[0], "X-ClickHouse-Key": WRITER[1]},
    )
    assert got.text == "42\n"


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("lz4", lz4.frame.compress), ("zstd", zstandard.compress)],
)
def test_bodies_may_be_packed(
    server: ClickHouseProcess, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    assert server.post("CREATE OR REPLACE TABLE packed (n UInt64) ENGINE = Memory").text == ""
    body = pack(b"INSERT INTO packed FORMAT CSV\n1\n2\n")
    answer = server.post(body, headers={"Content-Encoding": encoding})
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    assert server.post("SELECT sum(n) FROM packed").text == "3\n"


def test_get_cannot_change_anything(server: ClickHouseProcess) -> None:
    answer = httpx.get(
        server.url, params={"query": "CREATE TABLE by_get (n UInt8) ENGINE = Memory"}, auth=WRITER
    )
    assert answer.headers["X-ClickHouse-Exception-Code"] == "164"


def test_a_connection_is_kept_after_errors(server: ClickHouseProcess) -> None:
    with httpx.Client(auth=WRITER) as client:
        for statement in ("SELECT 1", "SELEC", "INSERT INTO nosuch FORMAT CSV\n" + "1\n" * 500_000):
            client.post(server.url, content=statement)
        assert client.post(server.url, content="SELECT 2").text == "2\n"


def test_native_for_clients_that_state_a_revision(server: ClickHouseProcess) -> None:
    """Read back by clickhouse-connect, which understands block infos; the marks are cut out."""
    columns = (
        "number AS a",
        "toString(number) AS b",
        "if(number % 2, NULL, number) AS c",
        "arrayMap(x -> toString(x), range(number % 5)) AS d",
        "toLowCardinality(toString(number % 3)) AS e",
        "[toLowCardinality('x'), toLowCardinality(toString(number))] AS f",
        "CAST(if(number % 2, NULL, 'y') AS LowCardinality(Nullable(String))) AS g",
        "map('k', number) AS h",
        "tuple(1, 'z') AS i",
        "toDecimal64(number, 2) AS j",
        "now64(3) AS k",
        "generateUUIDv4() AS l",
        "toFixedString('abc', 3) AS m",
        "CAST('a' AS Enum8('a' = 1)) AS n",
        "emptyArrayString() AS o",
    )
    statement = f"SELECT {', '.join(columns)} FROM numbers(100000)"
    answer = server.post(statement, default_format="Native", client_protocol_version="54460")
    assert answer.status_code == 200, answer.text
    blocks = answer.content.count(b"\x01\x00\x02\xff\xff\xff\xff\x00" + bytes([len(columns)]))
    plain = server.post(statement, default_format="Native")
    assert len(answer.content) == len(plain.content) + blocks * (8 + len(columns))


# Accounts


@pytest.mark.parametrize("account", [("sagestream", "wrong"), ("nobody", "x"), ("analyst", "")])
def test_wrong_credentials_are_refused(server: ClickHouseProcess, account: tuple[str, str]) -> None:
    answer = server.post("SELECT 1", account)
    assert answer.status_code == 403
    assert answer.headers["X-ClickHouse-Exception-Code"] == "516"
    assert "Authentication failed" in answer.text


def test_no_credentials_are_asked_for(server: ClickHouseProcess) -> None:
    assert httpx.post(server.url, content="SELECT 1").status_code == 401


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t (n UInt8) ENGINE = Memory",
        "DROP TABLE learning_events",
        "ALTER TABLE learning_events DELETE WHERE 1",
        "TRUNCATE TABLE learning_events",
        "INSERT INTO schema_migrations (version) VALUES (9)",
        "INSERT INTO schema_migrations (version) FORMAT CSV\n9",
        "SET readonly = 0",
        "KILL QUERY WHERE 1",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 SETTINGS max_memory_usage = 0",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT file('/etc/passwd')",
        "DESCRIBE TABLE file('/etc/passwd', 'LineAsString')",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SELECT * FROM `default`.`/etc/passwd`",
        "SYSTEM SHUTDOWN",
    ],
)
def test_an_analyst_only_reads_tables(server: ClickHouseProcess, statement: str) -> None:
    answer = server.post(statement, ANALYST)
    assert answer.headers["X-ClickHouse-Exception-Code"] in ("164", "358", "497"), answer.text
    assert server.post("SELECT 1", ANALYST).text == "1\n"


def test_an_analyst_is_kept_within_limits(server: ClickHouseProcess) -> None:
    many = server.post("SELECT number FROM numbers(5000000)", ANALYST)
    assert many.headers["X-ClickHouse-Exception-Code"] == "396"
    slow = server.post("SELECT sleepEachRow(1) FROM numbers(9)", ANALYST, max_execution_time="1")
    assert slow.headers["X-ClickHouse-Exception-Code"] in ("159", "160"), slow.text
    raised = server.post("SELECT 1", ANALYST, max_execution_time="3600")
    assert raised.headers["X-ClickHouse-Exception-Code"] == "164"
    with server.client(ANALYST) as client:
        assert client.query("SELECT count() FROM events").column_names == ("count()",)


# Hostile input


HOSTILE: list[str | bytes] = [
    b"",
    b"\x00",
    b"SELECT '\xff\xfe' AS \xff",
    b"SELECT 1\x00; DROP TABLE learning_events",
    "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
    "SELECT " + "[" * 5_000 + "]" * 5_000,
    "SELECT " + "not " * 5_000 + "1",
    "SELECT '" + "x" * 3_000_000,
    "SELECT /*" + "/*" * 100_000,
    "SELECT repeat('x', 1000000000000)",
    "SELECT range(100000000000)",
    "SELECT groupArray(number) FROM numbers(10000000000) SETTINGS max_memory_usage = 50000000",
    "SYSTEM SHUTDOWN",
    "SYSTEM KILL",
    "DROP DATABASE default",
    "DETACH DATABASE default",
    "DROP DATABASE system",
    "DROP TABLE system.tables",
    "\\i /etc/passwd",
    "!touch /tmp/x",
    "exit",
    "SELECT * FROM python(os)",
    "SELECT * FROM arrowstream('140000000000000')",
    "SELECT * FROM eval('SELECT 1')",
    "INSERT INTO learning_events FORMAT Native\n" + "\x01\x02junk" * 100,
    "INSERT INTO learning_events (event_id) VALUES (",
    "INSERT INTO learning_events FROM INFILE '/etc/passwd' FORMAT CSV",
    b"INSERT INTO learning_events FORMAT Parquet\nPAR1" + bytes(1_000) + b"PAR1",
    b"INSERT INTO learning_events FORMAT RowBinary\n" + b"\xff" * 1_000,
    b"INSERT INTO learning_events FORMAT Arrow\nARROW1" + b"\xff" * 1_000,
    b"INSERT INTO learning_events FORMAT Avro\nObj\x01" + b"\xff" * 1_000,
    b"INSERT INTO learning_events FORMAT ORC\nORC" + b"\xff" * 1_000,
]


def test_no_statement_brings_the_process_down(server: ClickHouseProcess) -> None:
    before = server.pid
    for statement in HOSTILE:
        answer = server.post(statement, max_execution_time="20")
        assert answer.status_code >= 400, (statement[:60], answer.text[:200])
        assert "root:" not in answer.text
        assert httpx.get(f"{server.url}ping").text == "Ok.\n"
    assert server.post("SELECT count() >= 0 FROM learning_events").text == "1\n"
    assert server.pid == before


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /?" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_broken_http_gets_an_error_and_nothing_else_suffers(
    server: ClickHouseProcess, request_bytes: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
        raw.sendall(request_bytes)
        raw.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := raw.recv(65_536):
            answer += piece
    assert b" 200 " not in answer.split(b"\r\n", 1)[0]
    assert server.post("SELECT 1").text == "1\n"


def test_a_long_query_blocks_neither_probes_nor_inserts(server: ClickHouseProcess) -> None:
    slow = "SELECT sleepEachRow(1) FROM numbers(15) SETTINGS max_block_size = 1"
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(server.post(slow)))
    thread.start()
    server.post("CREATE OR REPLACE TABLE beside (n UInt64) ENGINE = Memory")
    for number in range(5):
        began = time.monotonic()
        assert httpx.get(f"{server.url}ping").text == "Ok.\n"
        assert server.post(f"INSERT INTO beside FORMAT CSV\n{number}\n").status_code == 200
        assert time.monotonic() - began < 3
    assert answers == []
    thread.join(60)
    assert answers[0].text == "0\n" * 15


# Faults


def test_data_survives_a_kill(own_server: ClickHouseProcess) -> None:
    migrate.migrate(own_server.settings)
    store = ClickHouse(own_server.settings)
    insert(store, *(event(f"e-{number}") for number in range(1_000)))
    own_server.kill()
    with pytest.raises(ClickHouseAway):
        store.rows("SELECT count() FROM events")
    own_server.start()
    assert store.rows("SELECT count() FROM events") == [(1_000,)]
    assert migrate.migrate(own_server.settings) == []
    store.close()


def test_a_second_process_on_the_folder_is_refused_in_words(own_server: ClickHouseProcess) -> None:
    second = ClickHouseProcess(own_server.home)
    assert second.launch().wait(60) == 4
    assert f"in use by the process {own_server.pid}" in second.log.read_text()
    assert own_server.post("SELECT 1").text == "1\n"


def test_a_busy_port_is_refused_in_words(own_server: ClickHouseProcess, tmp_path: Path) -> None:
    home = tmp_path / "second"
    home.mkdir()
    second = ClickHouseProcess(home, own_server.port)
    assert second.launch().wait(60) == 4
    assert f"127.0.0.1:{own_server.port} cannot be listened on" in second.log.read_text()


def test_sigterm_lets_a_running_statement_end(own_server: ClickHouseProcess) -> None:
    answers: list[httpx.Response] = []
    thread = threading.Thread(
        target=lambda: answers.append(own_server.post("SELECT sleep(2), 'finished'"))
    )
    thread.start()
    wait_for(
        "the statement to run",
        lambda: "sleep" in own_server.post("SELECT query FROM system.processes").text,
    )
    assert own_server.stop() == 0
    thread.join(10)
    assert answers[0].text == "0\tfinished\n"


def test_sigterm_ends_a_statement_that_would_not(own_server: ClickHouseProcess) -> None:
    endless = (
        "SELECT count() FROM numbers(1000000) AS a, numbers(1000000) AS b"
        " WHERE sipHash64(a.number, b.number) = 0"
    )

    def ask() -> None:
        with contextlib.suppress(httpx.TransportError):
            own_server.post(endless)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(
        "the statement to run",
        lambda: "sipHash64" in own_server.post("SELECT query FROM system.processes").text,
    )
    began = time.monotonic()
    assert own_server.stop() == 0
    assert time.monotonic() - began < 40
    thread.join(10)


# What analysts read


def rows(store: ClickHouse, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.rows(statement)]


def test_the_view_shows_each_event_once_and_the_winning_copy(store: ClickHouse) -> None:
    bodies = [event("e-1", data={"n": number}) for number in range(6)]
    winner = min(bodies, key=lambda one: one.precedence)
    for number, body in enumerate(bodies):
        insert(store, body, body, first_offset=10 * number)
    insert(store, event("e-1", client_id="other"), first_offset=100)
    found = rows(store, "SELECT client_id, event_data, body_hash FROM events ORDER BY client_id")
    assert len(found) == 2
    assert found[0] == ("acme", winner.event_data.decode(), winner.body_hash.encode())


def test_copies_in_different_months_are_one_event(store: ClickHouse) -> None:
    copies = [event("e-1", at_ms=DAY_MS + number * 40 * DAY) for number in range(4)]
    for number, copy in enumerate(copies):
        insert(store, copy, first_offset=number)
    winner = min(copies, key=lambda one: one.precedence)
    found = rows(store, "SELECT toUnixTimestamp64Milli(event_time) FROM events")
    assert found == [(winner.event_time,)]


def test_of_copies_without_a_senders_time_the_earliest_wins(store: ClickHouse) -> None:
    for number, received in enumerate((DAY_MS + 2 * DAY, DAY_MS, DAY_MS + DAY)):
        insert(store, event("e-1", at_ms=None, received_at=received), first_offset=number)
    assert rows(store, "SELECT toUnixTimestamp64Milli(event_time) FROM events") == [(DAY_MS,)]


def test_a_block_sent_twice_is_stored_once(store: ClickHouse) -> None:
    for _ in range(2):
        insert(store, event("e-1"), event("e-2"), first_offset=500)
    assert rows(store, "SELECT count() FROM learning_events") == [(2,)]


def test_events_per_minute(store: ClickHouse) -> None:
    insert(
        store,
        event("e-1"),
        event("e-1"),
        event("e-2", at_ms=DAY_MS + 59_999),
        event("e-3", at_ms=DAY_MS + 60_000),
        event("e-4", event_type="like"),
        first_offset=600,
    )
    found = rows(
        store,
        "SELECT minute, client_id, event_type, events FROM events_per_minute ORDER BY ALL",
    )
    start = datetime(2026, 1, 5)
    assert found == [
        (start, "acme", "like", 1),
        (start, "acme", "view", 2),
        (start.replace(minute=1), "acme", "view", 1),
    ]


def test_success_rate_by_industry_and_campaign(store: ClickHouse) -> None:
    context = {"industry": "media", "campaign_type": "launch"}
    insert(
        store,
        event("e-1", session_id="won", data=context),
        event("e-2", session_id="won", event_type="offer.accepted", at_ms=DAY_MS + 1),
        event("e-2", session_id="won", event_type="offer.accepted", at_ms=DAY_MS + 1),
        event("e-3", session_id="lost", data=context),
        event("e-4", session_id="lost", event_type="offer.dismissed", at_ms=DAY_MS + 1),
        event("e-5", session_id="half", data={**context, "success_score": 5}),
        event("e-6", session_id="silent"),
        first_offset=700,
    )
    found = rows(
        store,
        "SELECT industry, campaign_type, client_id, sessions, successful_sessions, success_rate,"
        " events FROM success_rate_by_industry_and_campaign ORDER BY ALL",
    )
    assert found == [
        ("media", "launch", "acme", 3, 2, 0.5, 5),
        ("unknown", "unknown", "acme", 1, 0, 0.0, 1),
    ]


def test_a_backfill_over_all_kept_months_is_one_insert(store: ClickHouse) -> None:
    insert(
        store,
        *(
            event(f"e-{number}", at_ms=DAY_MS - number * 7 * DAY, received_at=DAY_MS)
            for number in range(104)
        ),
        first_offset=800,
    )
    assert rows(store, "SELECT count(), uniqExact(toYYYYMM(event_time)) FROM events")[0][0] == 104


def test_a_missing_table_is_a_refusal_that_names_the_remedy(server: ClickHouseProcess) -> None:
    store = ClickHouse(server.settings)
    with pytest.raises(ClickHouseRefused, match="sagestream migrate"):
        store.rows("SELECT * FROM nosuch")
    store.close()


def test_the_process_stops_on_sigint_too(own_server: ClickHouseProcess) -> None:
    os.kill(own_server.pid, signal.SIGINT)
    assert own_server.stop() == 0
