"""From request to answer, with an engine that only listens."""

from __future__ import annotations

import gzip
import io
import json
import threading
from collections.abc import Iterator
from email.message import Message

import pytest
import zstandard

from infra.clock import SystemClock
from infra.local.clickhouse.accounts import Account, Accounts
from infra.local.clickhouse.body import RawBody
from infra.local.clickhouse.engine import Outcome
from infra.local.clickhouse.errors import ClickHouseError, engine_error
from infra.local.clickhouse.limits import Limits
from infra.local.clickhouse.request import Query
from infra.local.clickhouse.service import Answer, Service

WRITER = {"X-ClickHouse-User": "writer", "X-ClickHouse-Key": "w"}
ANALYST = {"X-ClickHouse-User": "analyst", "X-ClickHouse-Key": "a"}


class Engine:
    """Remembers what it is asked."""

    version = "26.9.2.1"
    timezone = "Etc/UTC"
    host_name = "host"

    def __init__(self) -> None:
        self.ran: list[tuple[Query, bytes]] = []
        self.inserted: list[tuple[bytes, str, bytes]] = []
        self.result = b"1\n"
        self.error: ClickHouseError | None = None
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def run(self, query: Query, text: bytes) -> Outcome:
        self.entered.set()
        assert self.go_on.wait(10)
        if self.error is not None:
            raise self.error
        self.ran.append((query, text))
        return Outcome(data=self.result, read_rows=1, result_rows=1)

    def insert(
        self, query: Query, head: bytes, data_format: str, pieces: Iterator[bytes]
    ) -> Outcome:
        data = b"".join(pieces)
        self.inserted.append((head, data_format, data))
        return Outcome(written_rows=3, written_bytes=len(data))


def make(engine: Engine, **limits: float) -> Service:
    accounts = Accounts(
        (
            Account.of("writer", "w", read_only=False),
            Account.of("analyst", "a", read_only=True),
        )
    )
    return Service(
        engine,
        accounts,
        Limits(**limits),  # type: ignore[arg-type]
        database="sagestream",
        new_id=lambda: "made-id",
    )


def ask(
    service: Service,
    body: bytes = b"",
    target: str = "/",
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> Answer:
    message = Message()
    for name, value in (WRITER if headers is None else headers).items():
        message[name] = value
    return service.answer(
        method, target, message, RawBody(io.BytesIO(body), len(body), chunked=False)
    )


@pytest.mark.parametrize("target", ["/ping", "/replicas_status", "/"])
def test_probes_need_no_account_and_no_engine(target: str) -> None:
    answer = ask(make(Engine()), target=target, method="GET", headers={})
    assert (answer.status, answer.body) == (200, b"Ok.\n")


def test_an_unknown_path_is_not_found() -> None:
    assert ask(make(Engine()), target="/play").status == 404


def test_the_statement_is_the_parameter_then_the_body() -> None:
    engine = Engine()
    ask(make(engine), b"FROM t", "/?query=SELECT%20a")
    assert engine.ran[0][1] == b"SELECT a\nFROM t"


def test_an_answer_carries_clickhouses_headers() -> None:
    answer = ask(make(Engine()), b"SELECT 1", "/?query_id=mine&default_format=JSON")
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Format"] == "JSON"
    assert answer.headers["X-ClickHouse-Timezone"] == "Etc/UTC"
    assert answer.headers["Content-Type"].startswith("application/json")
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["read_rows"] == "1"


def test_a_query_id_cannot_smuggle_headers() -> None:
    answer = ask(make(Engine()), b"SELECT 1", "/?query_id=a%0d%0aX:%20y")
    assert answer.headers["X-ClickHouse-Query-Id"] == "made-id"


def test_the_format_is_the_statements_own_else_the_headers_else_the_parameters() -> None:
    service = make(Engine())
    target = "/?default_format=JSON"
    answers = (
        ask(service, b"SELECT 1 FORMAT CSV", target),
        ask(service, b"SELECT 1", target, headers={**WRITER, "X-ClickHouse-Format": "XML"}),
        ask(service, b"SELECT 1", target),
        ask(service, b"SELECT 1"),
    )
    formats = [answer.headers["X-ClickHouse-Format"] for answer in answers]
    assert formats == ["CSV", "XML", "JSON", "TabSeparated"]


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/", b"INSERT INTO t FORMAT CSV\n1,a\n"),
        ("/?query=INSERT%20INTO%20t%20FORMAT%20CSV", b"1,a\n"),
        ("/?query=INSERT%20INTO%20t", b"FORMAT CSV\n1,a\n"),
    ],
)
def test_insert_data_reaches_the_engine_wherever_the_statement_stands(
    target: str, body: bytes
) -> None:
    engine = Engine()
    answer = ask(make(engine), body, target)
    assert answer.status == 200, answer.body
    head, data_format, data = engine.inserted[0]
    assert (head.strip(), data_format, data) == (b"INSERT INTO t", "CSV", b"1,a\n")
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "3"


def test_a_packed_insert_is_unpacked_on_the_way() -> None:
    engine = Engine()
    body = gzip.compress(b"INSERT INTO t FORMAT CSV\n" + b"1,a\n" * 200_000)
    ask(make(engine), body, headers={**WRITER, "Content-Encoding": "gzip"})
    assert len(engine.inserted[0][2]) == 800_000


def test_a_large_answer_is_packed_for_who_can_unpack_it() -> None:
    engine = Engine()
    engine.result = b"x" * 100_000
    accepts = {**WRITER, "Accept-Encoding": "gzip, zstd;q=0.9"}
    answer = ask(make(engine), b"SELECT 1", headers=accepts)
    assert answer.headers["Content-Encoding"] == "zstd"
    assert zstandard.decompress(answer.body) == engine.result
    plain = ask(make(engine), b"SELECT 1", "/?enable_http_compression=0", headers=accepts)
    assert plain.body == engine.result


def test_an_analyst_cannot_change_anything() -> None:
    engine = Engine()
    for statement in (b"DROP TABLE t", b"KILL QUERY WHERE 1", b"SET readonly = 0", b"USE x"):
        answer = ask(make(engine), statement, headers=ANALYST)
        assert answer.headers["X-ClickHouse-Exception-Code"] == "164", statement
    assert engine.ran == []


def test_an_analysts_query_runs_read_only_and_limited() -> None:
    engine = Engine()
    ask(make(engine), b"SELECT 1", headers=ANALYST)
    query = engine.ran[0][0]
    assert query.readonly == 1
    assert query.settings["max_execution_time"] == "30"


def test_an_engine_error_is_phrased_as_a_server_would() -> None:
    engine = Engine()
    engine.error = engine_error(
        "Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE)", "u"
    )
    answer = ask(make(engine), b"SELECT * FROM x")
    assert answer.status == 404
    assert answer.headers["X-ClickHouse-Exception-Code"] == "60"
    assert answer.body == (
        b"Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE)"
        b" (version 26.9.2.1 (embedded))\n"
    )


def test_a_wrapped_engine_error_is_unwrapped() -> None:
    wrapped = (
        "Code: 73. DB::Exception: Code: 73. DB::Exception: Unknown format Nope. (UNKNOWN_FORMAT)"
        " (version 26.9.2.1). (UNKNOWN_FORMAT)"
    )
    error = engine_error(wrapped, "u")
    assert str(error) == "Code: 73. DB::Exception: Unknown format Nope. (UNKNOWN_FORMAT)"


def test_the_engines_only_user_gets_the_accounts_name() -> None:
    error = engine_error("Code: 164. DB::Exception: default: Cannot. (READONLY)", "analyst")
    assert "analyst: Cannot" in str(error)


def test_a_statement_beyond_the_limit_is_refused() -> None:
    service = make(Engine(), statement_bytes_max=300_000)
    answer = ask(service, b"SELECT '" + b"x" * 1_000_000 + b"'")
    assert b"Max query size exceeded" in answer.body


def test_a_body_beyond_the_limit_is_refused() -> None:
    service = make(Engine(), body_bytes_max=300_000)
    answer = ask(service, b"INSERT INTO t FORMAT CSV\n" + b"1\n" * 1_000_000)
    assert answer.status == 413


def test_analysts_do_not_take_the_writers_places() -> None:
    engine = Engine()
    engine.go_on.clear()
    service = make(engine, analyst_statements_max=1, wait_s=0.05)
    slow = threading.Thread(target=ask, args=(service, b"SELECT 1"), kwargs={"headers": ANALYST})
    slow.start()
    assert engine.entered.wait(5)
    refused = ask(service, b"SELECT 1", headers=ANALYST)
    assert refused.headers["X-ClickHouse-Exception-Code"] == "202"
    inserted = ask(service, b"INSERT INTO t FORMAT CSV\n1\n")
    assert inserted.status == 200
    engine.go_on.set()
    slow.join(5)


def test_stopping_waits_for_what_runs_and_takes_nothing_new() -> None:
    engine = Engine()
    engine.go_on.clear()
    service = make(engine)
    slow = threading.Thread(target=ask, args=(service, b"SELECT 1"))
    slow.start()
    assert engine.entered.wait(5)
    assert not service.stop(0.05, SystemClock())
    assert ask(service, b"SELECT 2").status == 503
    engine.go_on.set()
    assert service.stop(5, SystemClock())
    slow.join(5)


def test_external_data_is_refused_in_words() -> None:
    answer = ask(make(Engine()), b"--x", headers={**WRITER, "Content-Type": "multipart/form-data"})
    assert answer.status == 501
