"""What a request asks for, found from its first bytes: which statement, whose data follows where.

Also the few things this engine would do that no ClickHouse server does over HTTP (it is built for
one trusted user): read and write files of this machine, run client commands, several statements
at once. They are refused here, before the engine sees them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from infra.local.clickhouse.errors import ClickHouseError
from infra.local.clickhouse.lexer import Token, tokens

# Anything else at the start of a statement is a client command to the engine (`exit`, `!…`, `\\i`).
_READING = {b"SELECT", b"WITH", b"FROM", b"EXPLAIN", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS"}
_CHANGING = {
    *(b"INSERT", b"CREATE", b"ALTER", b"DROP", b"UNDROP", b"TRUNCATE", b"OPTIMIZE", b"RENAME"),
    *(b"EXCHANGE", b"ATTACH", b"DETACH", b"SYSTEM", b"SET", b"USE", b"KILL", b"DELETE", b"UPDATE"),
    *(b"CHECK", b"REPLACE", b"GRANT", b"REVOKE", b"BACKUP", b"RESTORE"),
}
# Callable by anybody in this engine, whatever is granted: files, memory, SQL made at run time.
_FORBIDDEN_CALLS = {
    *(b"FILE", b"FILECLUSTER", b"FILESYSTEM", b"PYTHON", b"ARROWSTREAM", b"EVAL", b"EXECUTABLE"),
    *(b"ICEBERGLOCAL", b"ICEBERGLOCALCLUSTER", b"DELTALAKELOCAL", b"PAIMONLOCAL"),
}
_AI_CALL = re.compile(rb"AI[A-Z]+")
_NOT_A_NAME = re.compile(rb"[^A-Za-z0-9_]")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that may go to the engine.

    `data_at` is where inline data of an INSERT starts (None: there is none), then `head_end` is
    where the text before its FORMAT clause or VALUES ends and `data_format` how it is written.
    `result_format` is the statement's own FORMAT clause, empty when it has none.
    """

    reading: bool
    result_format: str = ""
    head_end: int = 0
    data_at: int | None = None
    data_format: str = ""


def examine(text: bytes, *, complete: bool) -> Statement | None:
    """Look at a statement's first bytes; None = more of them are needed to say.

    Raises:
        ClickHouseError: it is none that a server would run over HTTP.
    """
    seen: list[Token] = []
    inserting = selecting = False
    depth = 0
    for token in tokens(text):
        if not complete and token.end >= len(text):
            return None
        seen.append(token)
        depth += _nesting(token)
        if len(seen) == 1:
            _refuse_client_commands(token, text)
            inserting = token.upper == b"INSERT"
        elif inserting and depth == 0:
            found = _inline_data(text, seen, complete)
            if found is not None:
                _refuse_forbidden(seen)
                if not selecting:
                    return found
                # INSERT … SELECT … FROM input(): the engine wants text and data in one piece.
                return Statement(reading=False) if complete else None
            selecting = selecting or token.upper == b"SELECT"
    if not complete:
        return None
    if not seen:
        raise ClickHouseError(62, "SYNTAX_ERROR", "Empty query.")
    _refuse_forbidden(seen)
    _refuse_second_statement(seen, text)
    first = seen[0]
    return Statement(
        reading=first.upper in _READING or first.text == b"(",
        result_format=_result_format(seen),
    )


def _refuse_client_commands(first: Token, text: bytes) -> None:
    known = first.upper in _READING or first.upper in _CHANGING or first.text == b"("
    if not known and first.kind != "broken":
        shown = text[first.start : first.start + 40].decode("utf-8", "replace")
        raise ClickHouseError(
            62,
            "SYNTAX_ERROR",
            f"Syntax error: failed at position {first.start + 1} ({shown}):"
            " a statement cannot start like this.",
        )


def _inline_data(text: bytes, seen: Sequence[Token], complete: bool) -> Statement | None:
    """The INSERT, once its last token says where its data starts."""
    token = seen[-1]
    if token.upper == b"VALUES" and len(seen) > 2:
        return Statement(False, head_end=token.start, data_at=token.end, data_format="Values")
    if token.kind != "word" or len(seen) < 2 or seen[-2].upper != b"FORMAT":
        return None
    start = _data_start(text, token.end, complete)
    if start is None:
        return None
    name = token.text.decode("ascii", "replace")
    return Statement(False, head_end=seen[-2].start, data_at=start, data_format=name)


def _data_start(text: bytes, at: int, complete: bool) -> int | None:
    """After the format's name: one `;`, blanks, one line end; the rest is data."""
    if text[at : at + 1] == b";":
        at += 1
    while at < len(text) and text[at] in b" \t\f":
        at += 1
    if text[at : at + 1] == b"\r":
        at += 1
    if text[at : at + 1] == b"\n":
        return at + 1
    return at if complete or at < len(text) else None


def _nesting(token: Token) -> int:
    """+1 for a bracket that opens, -1 for one that closes."""
    if token.kind != "sign":
        return 0
    return (token.text in b"([{") - (token.text in b")]}")


def _refuse_forbidden(seen: Sequence[Token]) -> None:
    for token, following in pairwise(seen):
        pair = (token.upper, following.upper)
        if pair == (b"INTO", b"OUTFILE"):
            raise ClickHouseError(
                358, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed over HTTP"
            )
        if pair == (b"FROM", b"INFILE"):
            raise ClickHouseError(
                78, "UNKNOWN_TYPE_OF_QUERY", "FROM INFILE is for clients, not for a server"
            )
        if following.text == b"(" and token.kind in ("word", "quoted"):
            _refuse_call(token)


def _refuse_call(token: Token) -> None:
    name = token.text.upper() if token.kind == "word" else token.text[1:-1].upper()
    if token.kind == "quoted" and b"\\" in name:
        # An escape could spell any name.
        raise ClickHouseError(62, "SYNTAX_ERROR", "Syntax error: escapes in a function's name")
    name = _NOT_A_NAME.sub(b"", name)
    if name in _FORBIDDEN_CALLS or _AI_CALL.fullmatch(name):
        shown = name.decode("ascii").lower()
        raise ClickHouseError(
            497, "ACCESS_DENIED", f"Not enough privileges: {shown}() is not available here"
        )


def _refuse_second_statement(seen: Sequence[Token], text: bytes) -> None:
    for token, following in pairwise(seen):
        if token.text == b";" and following.text != b";":
            shown = text[following.start : following.start + 40].decode("utf-8", "replace")
            raise ClickHouseError(
                62,
                "SYNTAX_ERROR",
                "Syntax error (Multi-statements are not allowed):"
                f" failed at position {token.end}: {shown}",
            )


def _result_format(seen: Sequence[Token]) -> str:
    """The name after a FORMAT outside of brackets with which the statement may end."""
    depth = 0
    for at, (token, following) in enumerate(pairwise(seen)):
        depth += _nesting(token)
        if depth == 0 and token.upper == b"FORMAT" and following.kind == "word":
            after = seen[at + 2] if at + 2 < len(seen) else None
            if after is None or after.text == b";" or after.upper == b"SETTINGS":
                return following.text.decode("ascii", "replace")
    return ""
