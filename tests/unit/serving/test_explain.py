"""What people are told."""

from __future__ import annotations

from typing import Any

import pytest

from serving.explain import Evidence, overlap, sentence
from stream_jobs.patterns.embedding import features

DESKDROP = {
    "path": ("view", "bookmark"),
    "industry": "unknown",
    "campaign_type": "unknown",
    "success_rate": 0.2934,
    "sample_size": 1204,
    "context_success_rate": 0.1681,
    "confidence": 0.9991,
}


def said(**changes: Any) -> str:
    return sentence(Evidence(**{**DESKDROP, **changes}))


def test_the_sentence_holds_the_numbers_that_count() -> None:
    assert said() == (
        "After view > bookmark, 29.3 % of 1,204 session windows succeed against 16.8 % in general; "
        "99.9 % sure it is higher."
    )


def test_a_known_context_is_named() -> None:
    assert "in general (industry retail, campaign type email);" in said(
        industry="retail", campaign_type="email"
    )


def test_an_unknown_half_of_the_context_is_left_out() -> None:
    assert "(campaign type email)" in said(campaign_type="email")


@pytest.mark.parametrize(
    ("confidence", "words"),
    [(0.7004, "70.0 % sure"), (0.9994, "99.9 % sure"), (0.9995, "more than 99.9 % sure")],
)
def test_nothing_is_ever_entirely_sure(confidence: float, words: str) -> None:
    assert f"; {words} it is higher." in said(confidence=confidence)


def test_without_a_base_rate_none_is_made_up() -> None:
    text = said(context_success_rate=None)
    assert "against" not in text
    assert text.endswith("sure that is more than in general.")


def test_what_matched_and_what_did_not_is_told_apart() -> None:
    matched, missing = overlap(
        features("retail", None, ("cart", "view", "buy")), "travel", "email", ("view", "buy")
    )
    assert matched == [
        "contains view",
        "contains buy",
        "view directly followed by buy",
        "ends with buy",
    ]
    assert missing == [
        "industry is retail",
        "contains cart",
        "cart directly followed by view",
        "begins with cart",
    ]


def test_what_was_not_asked_for_is_not_missing() -> None:
    matched, missing = overlap(features("retail", None, None), "retail", "email", ("view",))
    assert (matched, missing) == (["industry is retail"], [])
