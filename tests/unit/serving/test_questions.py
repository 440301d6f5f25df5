"""What may be asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.http.errors import HttpError
from serving.questions import Question, checked_hash, understand


def ask(**body: Any) -> Question:
    return understand(json.dumps(body).encode())


def refused(body: bytes | dict[str, Any]) -> HttpError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(HttpError) as caught:
        understand(raw)
    assert caught.value.status == 400
    assert caught.value.detail
    return caught.value


def test_a_context_alone_is_a_question() -> None:
    question = ask(context={"industry": "retail"})
    assert (question.industry, question.campaign_type, question.path) == ("retail", None, None)


def test_a_path_alone_is_a_question() -> None:
    assert ask(path=["view"]).path == ("view",)


def test_nothing_to_compare_with_is_refused() -> None:
    assert refused({"context": {}, "k": 3}).more["field"] == "context"


def test_immediate_repeats_count_once() -> None:
    assert ask(path=["view", "view", "like", "view"]).path == ("view", "like", "view")


def test_only_the_last_three_steps_are_compared() -> None:
    assert ask(path=["a", "b", "c", "d", "d"]).path == ("b", "c", "d")


def test_text_is_compared_in_nfc() -> None:
    question = ask(context={"industry": "cafe\u0301"}, path=["e\u0301"])
    assert question.industry == "caf\u00e9"
    assert question.path == ("\u00e9",)


def test_repeats_that_differ_only_in_form_count_once() -> None:
    assert ask(path=["e\u0301", "\u00e9"]).path == ("\u00e9",)


def test_filters_are_in_nfc_too() -> None:
    assert ask(path=["a"], filters={"industry": "cafe\u0301"}).filters.industry == "caf\u00e9"


def test_ten_matches_unless_told_otherwise() -> None:
    assert ask(path=["a"]).k == 10


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert understand(b'{"path": ["a"], "k": 98.0}').k == 98


@pytest.mark.parametrize("k", [0, 101, -1, 1.5, "10", True, None, 10**30])
def test_k_outside_its_range_is_refused(k: Any) -> None:
    problem = refused({"path": ["a"], "k": k})
    assert problem.more["field"] == "k"
    assert "1 to 100" in problem.detail


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"path": ["a"], "colour": 1}, "colour"),
        ({"path": ["a"], "filters": {"min_conf": 1}}, "filters.min_conf"),
        ({"path": ["a"], "context": {"client_id": "x"}}, "context.client_id"),
    ],
)
def test_unknown_names_are_refused_and_the_known_ones_told(
    body: dict[str, Any], field: str
) -> None:
    problem = refused(body)
    assert problem.more["field"] == field
    assert problem.detail.startswith("Known are ")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"path": []}, "path"),
        ({"path": "view"}, "path"),
        ({"path": ["a"] * 501}, "path"),
        ({"path": ["a", 1]}, "path[1]"),
        ({"path": ["a", ""]}, "path[1]"),
        ({"path": ["x" * 51]}, "path[0]"),
        ({"path": ["a\u0000"]}, "path[0]"),
        ({"path": ["a\u001fb"]}, "path[0]"),
        ({"context": {"industry": "x" * 101}}, "context.industry"),
        ({"context": {"industry": "a\nb"}}, "context.industry"),
        ({"context": {"campaign_type": 7}}, "context.campaign_type"),
        ({"context": []}, "context"),
        ({"path": ["a"], "filters": {"min_confidence": 1.01}}, "filters.min_confidence"),
        ({"path": ["a"], "filters": {"min_sample_size": -1}}, "filters.min_sample_size"),
        ({"path": ["a"], "filters": {"min_sample_size": 2**31}}, "filters.min_sample_size"),
        ({"path": ["a"], "filters": {"pattern_type": "other"}}, "filters.pattern_type"),
        ({"path": ["a"], "filters": {"industry": "\u0000"}}, "filters.industry"),
    ],
)
def test_a_wrong_value_is_refused_naming_its_field(body: dict[str, Any], field: str) -> None:
    assert refused(body).more["field"] == field


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b'{"k":1,"k":2}', b'{"k":NaN}', b'{"path":["\\ud800"]}', b"[" * 9999],
)
def test_what_is_not_strict_json_is_refused(body: bytes) -> None:
    assert refused(body).code == "malformed_json"


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    assert refused(body).code == "wrong_value"


@pytest.mark.parametrize("text", ["", "abc", "A" * 64, "g" * 64, "a" * 65, "a" * 64 + "\n"])
def test_what_is_not_a_hash_is_refused(text: str) -> None:
    with pytest.raises(HttpError) as caught:
        checked_hash(text)
    assert caught.value.status == 400


def test_a_hash_is_taken_as_it_is() -> None:
    assert checked_hash("0a" * 32) == "0a" * 32
