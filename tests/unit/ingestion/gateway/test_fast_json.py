"""The fast parser gives the reference's verdicts."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.events.errors import MalformedJson
from ingestion.events.strict_json import loads_strict
from ingestion.gateway import fast_json
from tests.unit.ingestion.gateway import json_text


def outcome(parse: Callable[[bytes], Any], body: bytes) -> tuple[str, str]:
    try:
        return "value", repr(parse(body))
    except MalformedJson as error:
        return "refused", str(error)


SEEDS = st.integers(0, 2**32)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_any_document_is_judged_like_the_reference(seed: int) -> None:
    rng = Random(seed)
    for _ in range(30):
        body = json_text.value(rng, 3, broken_share=0.05).encode()
        assert outcome(fast_json.loads, body) == outcome(loads_strict, body)


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_long_documents_are_judged_like_the_reference(seed: int) -> None:
    rng = Random(seed)
    padding = '"padding, 5 bytes: each", ' * 200
    for _ in range(5):
        body = f"[{padding}{json_text.value(rng, 3, broken_share=0.05)}]".encode()
        assert outcome(fast_json.loads, body) == outcome(loads_strict, body)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a" :1,"a":2}',
        '{"a":{"b":1,"b" : 2}}',
        '{"k":"\\":","k":1}',
        '{"k\\\\":1,"k\\\\":2}',
        '{"a":":","a":1}',
        '{"a":":","a" :1}',
        "[" * 70 + "]" * 70,
        '{"a":' * 40 + "1" + "}" * 40,
        "[" * 100_000,
    ],
)
def test_a_tricky_document_is_judged_like_the_reference(text: str) -> None:
    body = text.encode()
    assert outcome(fast_json.loads, body) == outcome(loads_strict, body)


@pytest.mark.parametrize("padding", ["", "x" * 10_000])
@pytest.mark.parametrize("blank", ["", " ", "\n", "\t", "\r\n", "   "])
def test_a_duplicate_key_is_found_whatever_stands_before_its_colon(
    blank: str, padding: str
) -> None:
    body = f'[{{"a":1,"b":2,"a"{blank}:3}},"{padding}"]'.encode()
    with pytest.raises(MalformedJson, match="stands twice"):
        fast_json.loads(body)


@pytest.mark.parametrize(
    "body",
    [b'\xff"a"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b"\xef\xbb\xbf1", b'"a\xff"', b'{"\xfe":1}'],
)
def test_bytes_that_are_not_utf8_are_refused(body: bytes) -> None:
    assert outcome(fast_json.loads, body)[0] == "refused"


def test_a_plain_document_never_needs_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_json, "loads_strict", None)
    body = b'[{"a": "He said \\"hi\\": yes", "b": [1, {"c": null}]}, {"a": "10:30 : late"}]'
    value = fast_json.loads(body)
    assert value[0]["b"] == [1, {"c": None}]


def test_lines_are_parsed_one_by_one_and_blank_ones_skipped() -> None:
    assert fast_json.loads_lines(b'{"a":1}\n\n  \r\n{"a":2}\n') == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("line", [b'{"a":1,"a":2}', b'{"a":', b'"\\ud800"'])
def test_a_bad_line_is_named(line: bytes) -> None:
    with pytest.raises(MalformedJson, match="line 3"):
        fast_json.loads_lines(b'{"a":1}\n{"a":1}\n' + line + b"\n")
