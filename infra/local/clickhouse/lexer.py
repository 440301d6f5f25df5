"""Tokens of ClickHouse SQL, split exactly where the engine splits them.

What a statement may do is judged on these tokens, so a string that ends elsewhere for us than
for the engine would be a hole. Broken tokens (a string without an end) are left to the engine,
which refuses them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["word", "quoted", "string", "number", "sign", "broken"]


class Token(NamedTuple):
    """One significant token: bytes [start, end) of the statement."""

    kind: Kind
    start: int
    end: int
    text: bytes

    @property
    def upper(self) -> bytes:
        """A bare word in capitals; empty for anything else."""
        return self.text.upper() if self.kind == "word" else b""


# Wider than the engine's white space: a byte it would refuse must not part a name from its call.
_SPACE = re.compile(rb"(?:[\x00-\x20]|(?!\xe2\x80[\x98\x9c])[\x80-\xff])+")
_LINE_COMMENT = re.compile(rb"(?:--|//|\#[ !])[^\n]*")
_COMMENT_MARK = re.compile(rb"/\*|\*/")
_HEREDOC_NAME = re.compile(rb"\$[A-Za-z0-9_]*\$")
_QUOTED = {
    quote: re.compile(rb"%s[^%s\\]*(?:(?:\\.|%s%s)[^%s\\]*)*%s" % ((quote,) * 6), re.DOTALL)
    for quote in (b"'", b'"', b"`")
}
_WORD = re.compile(rb"[A-Za-z0-9_$]+")
_NUMBER = re.compile(rb"[0-9][A-Za-z0-9_]*(?:\.[0-9]+)?")
_UNICODE_QUOTES = {b"\xe2\x80\x98": b"\xe2\x80\x99", b"\xe2\x80\x9c": b"\xe2\x80\x9d"}
_SINGLE = b"\xe2\x80\x98"


def tokens(statement: bytes) -> Iterator[Token]:
    """Significant tokens in order; a broken one is the last."""
    at = 0
    size = len(statement)
    while at < size:
        at, broken = _skip(statement, at)
        if at >= size:
            return
        token = Token("broken", at, size, b"") if broken else _next(statement, at)
        yield token
        if token.kind == "broken":
            return
        at = token.end


def _skip(statement: bytes, at: int) -> tuple[int, bool]:
    """Past white space and comments; (position, a comment has no end)."""
    while True:
        match = _SPACE.match(statement, at) or _LINE_COMMENT.match(statement, at)
        if match is not None:
            at = match.end()
        elif statement.startswith(b"/*", at):
            end = _comment_end(statement, at)
            if end < 0:
                return at, True
            at = end
        else:
            return at, False


def _comment_end(statement: bytes, at: int) -> int:
    """Where the block comment ends, those inside it included; -1 without an end."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(statement, at):
        depth += 1 if mark[0] == b"/*" else -1
        if depth == 0:
            return mark.end()
    return -1


def _next(statement: bytes, at: int) -> Token:
    first = statement[at : at + 1]
    quoted = _QUOTED.get(first)
    if quoted is not None:
        match = quoted.match(statement, at)
        kind: Kind = "string" if first == b"'" else "quoted"
        return _token(kind, statement, at, match.end() if match else -1)
    opening = statement[at : at + 3]
    if opening in _UNICODE_QUOTES:
        closing = statement.find(_UNICODE_QUOTES[opening], at + 3)
        kind = "string" if opening == _SINGLE else "quoted"
        return _token(kind, statement, at, closing + 3 if closing >= 0 else -1)
    if first == b"$":
        return _dollar(statement, at)
    if first.isdigit():
        number = _NUMBER.match(statement, at)
        return _token("number", statement, at, number.end() if number else at + 1)
    word = _WORD.match(statement, at)
    if word is not None:
        return _token("word", statement, at, word.end())
    return _token("sign", statement, at, at + 1)


def _dollar(statement: bytes, at: int) -> Token:
    """`$name$ … $name$` is a string; otherwise a word or a sign."""
    name = _HEREDOC_NAME.match(statement, at)
    if name is not None:
        closing = statement.find(name[0], name.end())
        if closing >= 0:
            return _token("string", statement, at, closing + len(name[0]))
    word = _WORD.match(statement, at)
    end = word.end() if word else at + 1
    return _token("word" if end > at + 1 else "sign", statement, at, end)


def _token(kind: Kind, statement: bytes, start: int, end: int) -> Token:
    if end < 0:
        return Token("broken", start, len(statement), b"")
    return Token(kind, start, end, statement[start:end])
