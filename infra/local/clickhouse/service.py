"""Requests to answers, without a socket: authenticate, read, judge, run, phrase."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from infra.clock import Clock
from infra.local.clickhouse.accounts import Account, Accounts, Headers
from infra.local.clickhouse.answer import content_type, packed, summary
from infra.local.clickhouse.body import RawBody, unpacked
from infra.local.clickhouse.engine import Outcome
from infra.local.clickhouse.errors import ClickHouseError
from infra.local.clickhouse.limits import Limits
from infra.local.clickhouse.native_blocks import (
    REVISION_WITH_CUSTOM_SERIALIZATION,
    with_revision,
)
from infra.local.clickhouse.native_frames import unframed
from infra.local.clickhouse.request import Query, read_query, split_target
from infra.local.clickhouse.statement import Statement, examine

_PLAIN = "text/plain; charset=UTF-8"
_QUERY_ID = re.compile(r"[\x21-\x7e]{1,200}")
_OK = b"Ok.\n"
_ELSEWHERE = (
    b"There is no such handler\n\nUse / or /ping for health checks.\n"
    b"Or /replicas_status for more sophisticated health checks.\n\n"
    b"Send queries from your program with POST method or GET /?query=...\n"
)


class StatementRunner(Protocol):
    """The part of the engine that answers use."""

    version: str
    timezone: str
    host_name: str

    def run(self, query: Query, text: bytes) -> Outcome: ...

    def insert(
        self, query: Query, head: bytes, data_format: str, pieces: Iterator[bytes]
    ) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; Content-Length is left to whoever sends it."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Service:
    """Stateless apart from counting what runs; called from many threads."""

    def __init__(
        self,
        engine: StatementRunner,
        accounts: Accounts,
        limits: Limits,
        *,
        database: str,
        new_id: Callable[[], str],
    ) -> None:
        self._engine = engine
        self._accounts = accounts
        self._limits = limits
        self._database = database
        self._new_id = new_id
        self._gates = {
            False: threading.BoundedSemaphore(limits.writer_statements_max),
            True: threading.BoundedSemaphore(limits.analyst_statements_max),
        }
        self._running = 0
        self._stopping = False
        self._changed = threading.Condition()

    def answer(self, method: str, target: str, headers: Headers, body: RawBody) -> Answer:
        """The answer to one request; client errors become answers, only I/O errors are raised."""
        common = {"X-ClickHouse-Server-Display-Name": self._engine.host_name}
        try:
            path, parameters = split_target(target)
            if path in ("/ping", "/replicas_status") or (
                path == "/" and self._is_probe(method, parameters, body)
            ):
                return Answer(200, _OK, {"Content-Type": "text/html; charset=UTF-8", **common})
            if path not in ("/", "/query"):
                return Answer(404, _ELSEWHERE, {"Content-Type": _PLAIN, **common})
            account = self._accounts.authenticate(headers, parameters)
            query = read_query(
                method,
                parameters,
                headers,
                account=account,
                limits=self._limits,
                database=self._database,
            )
            given = parameters.get("query_id") or headers.get("X-ClickHouse-Query-Id") or ""
            common["X-ClickHouse-Query-Id"] = (
                given if _QUERY_ID.fullmatch(given) else self._new_id()
            )
            return self._statement(query, headers, body, common)
        except ClickHouseError as error:
            return self._failure(error, common)

    @staticmethod
    def _is_probe(method: str, parameters: dict[str, str], body: RawBody) -> bool:
        return method in ("GET", "HEAD") and "query" not in parameters and body.ended

    def _statement(
        self, query: Query, headers: Headers, body: RawBody, common: dict[str, str]
    ) -> Answer:
        pieces = unpacked(body, headers.get("Content-Encoding"), self._limits.body_bytes_max)
        if query.native_frames:
            pieces = unframed(pieces, self._limits.body_bytes_max)
        if (headers.get("Content-Type") or "").lower().startswith("multipart/form-data"):
            raise ClickHouseError(
                48, "NOT_IMPLEMENTED", "External data (multipart/form-data) is not supported here"
            )
        statement, text = self._read_statement(query.query_text, pieces)
        output_format = statement.result_format or query.default_format
        with self._place(query.account):
            if statement.data_at is not None:
                head = text[: statement.head_end]
                data = chain((text[statement.data_at :],), pieces)
                outcome = self._engine.insert(
                    query, head, statement.data_format, (piece for piece in data if piece)
                )
            else:
                if query.account.read_only and not statement.reading:
                    raise ClickHouseError(
                        164,
                        "READONLY",
                        f"{query.account.name}: Cannot execute query in readonly mode.",
                    )
                outcome = self._engine.run(query, text)
        return self._success(query, outcome, output_format, headers, common)

    def _read_statement(self, text: bytes, pieces: Iterator[bytes]) -> tuple[Statement, bytes]:
        """The statement and the bytes read so far; for an INSERT its data may still be unread."""
        statement = examine(text, complete=False) if text else None
        if statement is None:
            text += next(pieces, b"")
            second = next(pieces, None)
            text += second or b""
            statement = examine(text, complete=second is None)
        if statement is not None:
            return statement, text
        held = [text]
        size = len(text)
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size > self._limits.statement_bytes_max:
                raise ClickHouseError(
                    62,
                    "SYNTAX_ERROR",
                    f"Max query size exceeded: {self._limits.statement_bytes_max} bytes. Put data"
                    " after INSERT … FORMAT, where it has no such limit.",
                )
        text = b"".join(held)
        statement = examine(text, complete=True)
        if statement is None:
            raise ClickHouseError(62, "SYNTAX_ERROR", "Empty query.")
        return statement, text

    def _success(
        self,
        query: Query,
        outcome: Outcome,
        output_format: str,
        headers: Headers,
        common: dict[str, str],
    ) -> Answer:
        data = outcome.data
        revision = query.client_revision
        if output_format == "Native" and revision >= REVISION_WITH_CUSTOM_SERIALIZATION:
            data = with_revision(data)
        encoding = ""
        if query.compress_answer:
            data, encoding = packed(data, headers.get("Accept-Encoding") or "")
        fields = {
            "Content-Type": content_type(output_format),
            "X-ClickHouse-Summary": summary(outcome),
            "X-ClickHouse-Format": output_format,
            "X-ClickHouse-Timezone": self._engine.timezone,
            **common,
        }
        if encoding:
            fields["Content-Encoding"] = encoding
        return Answer(200, data, fields)

    def _failure(self, error: ClickHouseError, common: dict[str, str]) -> Answer:
        text = f"{error} (version {self._engine.version} (embedded))\n"
        fields = {
            "Content-Type": _PLAIN,
            "X-ClickHouse-Exception-Code": str(error.code),
            **common,
        }
        if error.status == 401:
            fields["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        return Answer(error.status, text.encode("utf-8", "replace"), fields)

    @contextmanager
    def _place(self, account: Account) -> Iterator[None]:
        """A place among the statements that may run at once."""
        gate = self._gates[account.read_only]
        if not gate.acquire(timeout=self._limits.wait_s):
            raise ClickHouseError(
                202,
                "TOO_MANY_SIMULTANEOUS_QUERIES",
                f"Too many simultaneous queries for user {account.name}",
                status=503,
            )
        try:
            self._count(+1)
            try:
                yield
            finally:
                self._count(-1)
        finally:
            gate.release()

    def _count(self, change: int) -> None:
        with self._changed:
            if self._stopping and change > 0:
                raise ClickHouseError(236, "ABORTED", "The server is shutting down", status=503)
            self._running += change
            self._changed.notify_all()

    def stop(self, wait_s: float, clock: Clock) -> bool:
        """Take no more statements and wait for the running ones; whether all ended."""
        deadline = clock.monotonic() + wait_s
        with self._changed:
            self._stopping = True
            while self._running:
                left = deadline - clock.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True
