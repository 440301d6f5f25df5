"""What the reference parser refuses, and how it says so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.events.errors import MalformedJson
from ingestion.events.strict_json import DEPTH_MAX, loads_strict


def refusal(raw: bytes) -> MalformedJson:
    with pytest.raises(MalformedJson) as caught:
        loads_strict(raw)
    return caught.value


@pytest.mark.parametrize(
    ("raw", "reason", "position"),
    [
        (b'{"a":"\xff"}', "not UTF-8", 6),
        (b'"\xc0\xaf"', "not UTF-8", 1),  # overlong form of /
        (b'"\xed\xa0\x80"', "not UTF-8", 1),  # a surrogate written as UTF-8
        ('{"a":1}'.encode("utf-16"), "not UTF-8", 0),
        (b"\xef\xbb\xbf{}", "a byte order mark is not allowed", 0),
        (b"", "Expecting value", 0),
        (b'{"a":1} x', "Extra data", 8),
        (b'{"a":"\x00"}', "Invalid control character at", 6),
        (b'{"a":"\n"}', "Invalid control character at", 6),
        (b'{"a":01}', "Expecting ',' delimiter", 6),
    ],
)
def test_the_position_is_told_where_it_is_known(raw: bytes, reason: str, position: int) -> None:
    error = refusal(raw)
    assert (error.reason, error.position) == (reason, position)
    assert f"at position {position}" in str(error)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"a":1,"a":2}', "the key 'a' stands twice in one object"),
        (b'[{"x":{"a":1,"\\u0061":2}}]', "the key 'a' stands twice in one object"),
        (b'{"a":{"b":[1,NaN]}}', "a number is not finite (.a.b[1])"),
        (b"[1e999]", "a number is not finite ([0])"),
        (b'{"a":-Infinity}', "a number is not finite (.a)"),
        (b'{"a":["\\ud800"]}', "a lone surrogate is not text (.a[0])"),
        (b'{"a":"\\udc00\\ud800"}', "a lone surrogate is not text (.a)"),
        (b"9" * 5_000, "an integer has too many digits"),
        (b"[" * 100_000, "nested deeper than 64"),
        (b"[" * 100_000 + b"]" * 100_000, "nested deeper than 64"),
        (b'{"a":' * 100_000, "nested deeper than 64"),
    ],
)
def test_the_reason_names_the_place(raw: bytes, words: str) -> None:
    assert str(refusal(raw)) == words


def nested(levels: int) -> bytes:
    return b'[{"a":' * (levels // 2) + b"1" + b"}]" * (levels // 2)


def test_nesting_is_allowed_up_to_the_limit_and_width_does_not_count() -> None:
    assert loads_strict(nested(DEPTH_MAX))
    assert "deeper" in refusal(nested(DEPTH_MAX + 2)).reason
    assert len(loads_strict(b"[" + b"[{}]," * 500 + b"[]]")) == 501


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert loads_strict(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_rules_that_admission_can_explain_better_are_left_to_it() -> None:
    assert loads_strict(b'{"nul":"\\u0000","big":123456789012345678901234567890}')


def test_a_key_may_stand_in_two_objects() -> None:
    assert loads_strict(b'[{"a":1},{"a":{"a":2}}]') == [{"a": 1}, {"a": {"a": 2}}]


@given(st.binary(max_size=40))
def test_bytes_are_either_read_as_the_standard_parser_reads_them_or_refused(raw: bytes) -> None:
    try:
        value: Any = loads_strict(raw)
    except MalformedJson:
        return
    assert value == json.loads(raw)
