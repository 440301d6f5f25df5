"""What may go to the engine, and where an INSERT's data starts."""

from __future__ import annotations

import pytest

from infra.local.clickhouse.errors import ClickHouseError
from infra.local.clickhouse.lexer import tokens
from infra.local.clickhouse.statement import Statement, examine


def texts(statement: str) -> list[bytes]:
    return [token.text for token in tokens(statement.encode())]


def code(statement: str) -> int:
    with pytest.raises(ClickHouseError) as caught:
        examine(statement.encode(), complete=True)
    return caught.value.code


def accepted(statement: bytes, *, complete: bool = True) -> Statement:
    found = examine(statement, complete=complete)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "hidden",
    [
        "'it''s file('",
        r"'it\'s file('",
        "$x$ file( $x$",
        "$$file($$",
        "‘file('’",
        "-- file(\n 1",
        "// file( '\n 1",
        "# file(\n 1",
        "/* file( /* inner */ still ( */ 1",
    ],
)
def test_words_in_strings_and_comments_are_not_seen(hidden: str) -> None:
    assert b"file" not in texts(f"SELECT {hidden}, 2")
    accepted(f"SELECT {hidden}, 2".encode())


@pytest.mark.parametrize(
    "bait",
    [
        "'a\\\\', file('/etc/passwd')",
        "‘'’, file('/etc/passwd'), ‘'’",
        "1 // '\n, file('/etc/passwd') // '",
        "/* /* */ ' */ file('/etc/passwd') -- '",
        "`file`('/etc/passwd')",
        "\"file\" ('/etc/passwd')",
        "file\u00a0('/etc/passwd')",
        "FILE /* x */ ('/etc/passwd')",
    ],
)
def test_a_forbidden_call_cannot_be_hidden_behind_quotes_or_comments(bait: str) -> None:
    assert code(f"SELECT {bait}") == 497


def test_an_escape_in_a_function_name_is_refused() -> None:
    assert code(r"SELECT `fi\x6ce`('/etc/passwd')") == 62


@pytest.mark.parametrize("name", ["python", "eval", "arrowStream", "executable", "AIGenerate"])
def test_what_reaches_out_of_the_engine_is_refused(name: str) -> None:
    assert code(f"SELECT * FROM {name}('x')") == 497


def test_a_column_called_file_is_no_call() -> None:
    accepted(b"SELECT file, count() FROM (SELECT 1 AS file) GROUP BY file")


@pytest.mark.parametrize("command", ["exit", "quit;", "\\i /etc/passwd", "!ls", "?? tables", ";"])
def test_client_commands_are_syntax_errors(command: str) -> None:
    assert code(command) == 62


def test_two_statements_are_refused_and_one_semicolon_is_not() -> None:
    assert code("SELECT 1; DROP TABLE t") == 62
    accepted(b"SELECT 1; -- done")


def test_files_of_the_machine_cannot_be_written_or_read_by_clauses() -> None:
    assert code("SELECT 1 INTO OUTFILE '/tmp/x'") == 358
    assert code("INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV") == 78


def test_nothing_at_all_is_a_syntax_error() -> None:
    assert code("") == 62
    assert code("  -- only a comment\n") == 62


@pytest.mark.parametrize(
    ("text", "head", "data_format", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x01'", b"INSERT INTO t ", "Native", b"\x01'"),
        (b"insert into t (a, b) values (1, 2)", b"insert into t (a, b) ", "Values", b" (1, 2)"),
        (b"INSERT INTO t FORMAT CSV;\r\n1", b"INSERT INTO t ", "CSV", b"1"),
        (b"INSERT INTO t FORMAT CSV 1", b"INSERT INTO t ", "CSV", b"1"),
        (b"INSERT INTO t SETTINGS a = 1 FORMAT TSV\n\n", b"INSERT INTO t SETTINGS a = 1 ",
         "TSV", b"\n"),
        (b"INSERT INTO format (values) FORMAT TSV\n1", b"INSERT INTO format (values) ",
         "TSV", b"1"),
    ],
)  # fmt: skip
def test_the_data_of_an_insert_is_found(
    text: bytes, head: bytes, data_format: str, data: bytes
) -> None:
    found = accepted(text)
    assert found.data_at is not None
    assert (text[: found.head_end], found.data_format, text[found.data_at :]) == (
        head,
        data_format,
        data,
    )


def test_an_insert_is_known_before_its_data_has_come() -> None:
    assert accepted(b"INSERT INTO t FORMAT Native\n", complete=False).data_format == "Native"


def test_a_format_name_may_still_grow() -> None:
    assert examine(b"INSERT INTO t FORMAT JSON", complete=False) is None


def test_an_insert_that_selects_goes_to_the_engine_whole() -> None:
    assert accepted(b"INSERT INTO t SELECT 1").data_at is None
    assert accepted(b"INSERT INTO t SELECT a FROM input('a Int8') FORMAT CSV\n1;2").data_at is None


def test_the_result_format_is_the_one_the_statement_ends_with() -> None:
    assert accepted(b"SELECT (SELECT 1 FORMAT TSV) FORMAT JSON").result_format == "JSON"
    assert accepted(b"SELECT 1 FORMAT TSV SETTINGS max_threads = 1;").result_format == "TSV"
    assert accepted(b"SELECT format FROM t").result_format == ""


def test_reading_statements_are_told_from_changing_ones() -> None:
    assert accepted(b"WITH 1 AS x SELECT x").reading
    assert accepted(b"(SELECT 1)").reading
    assert not accepted(b"DROP TABLE t").reading
    assert not accepted(b"KILL QUERY WHERE 1").reading


def test_a_long_hostile_insert_is_judged_in_linear_time() -> None:
    assert examine(b"INSERT INTO t " + b"(" * 200_000, complete=False) is None
