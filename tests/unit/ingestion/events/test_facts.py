"""What windows may use of `event_data`, and what is left aside and counted."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.events.facts import Facts, promote


def test_nothing_known_gives_no_facts() -> None:
    assert promote({"page": "/"}) == (Facts(None, None, None, None), ())


def test_null_is_absence_and_not_a_wrong_type() -> None:
    known = dict.fromkeys(("industry", "campaign_type", "success", "success_score"))
    assert promote(known) == (Facts(), ())


@pytest.mark.parametrize(
    "label", ["x", "x" * 100, "R&D / caf\u00e9", "no\u00a0break", "\U0001f469\u200d\U0001f52c"]
)
def test_a_label_is_any_text_without_control_characters(label: str) -> None:
    assert promote({"industry": label, "campaign_type": label})[0][:2] == (label, label)


@pytest.mark.parametrize("label", ["", "x" * 101, "a\nb", "a\x7f", "a\x9f", 5, True, ["x"], {}])
def test_anything_else_is_no_label(label: Any) -> None:
    facts, wrong = promote({"industry": label, "campaign_type": label})
    assert facts == Facts()
    assert wrong == ("industry", "campaign_type")


def test_labels_are_brought_to_nfc_before_they_are_measured() -> None:
    assert promote({"industry": "e\u0301" * 100})[0].industry == "\u00e9" * 100


@pytest.mark.parametrize("value", [0, 1, "true", [], 1.0])
def test_success_is_a_boolean_only(value: Any) -> None:
    assert promote({"success": value}) == (Facts(), ("success",))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(0, 0.0), (7, 7.0), (10, 10.0), (7.1234567, 7.12346), (-5, 0.0), (11, 10.0), (10**400, 10.0)],
)
def test_a_score_is_a_number_clipped_to_0_and_10_with_5_decimals(sent: Any, kept: float) -> None:
    score = promote({"success_score": sent})[0].success_score
    assert score == kept
    assert type(score) is float


@pytest.mark.parametrize("value", [True, "7", [7], float("nan")])
def test_anything_else_is_no_score(value: Any) -> None:
    assert promote({"success_score": value}) == (Facts(), ("success_score",))
