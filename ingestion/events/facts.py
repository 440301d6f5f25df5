"""The known keys of `event_data`, promoted to typed facts; the only place that interprets them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

from ingestion.events.values import control_in

LABEL_CHARS_MAX = 100
SCORE_MAX = 10.0
_SCORE_DECIMALS = 5


class Facts(NamedTuple):
    """What windows may use of an event's data; None where absent or of the wrong type."""

    industry: str | None = None
    campaign_type: str | None = None
    success: bool | None = None
    success_score: float | None = None


def promote(event_data: Mapping[str, Any]) -> tuple[Facts, tuple[str, ...]]:
    """(facts, known keys whose value cannot be used and is therefore ignored).

    Labels are NFC text of 1-100 characters without control characters; `success` is a boolean;
    `success_score` a number, clipped to 0-10, 5 decimals.
    """
    get = event_data.get
    industry = get("industry")
    campaign_type = get("campaign_type")
    success = get("success")
    score = get("success_score")
    wrong: tuple[str, ...] = ()
    if industry is not None:
        industry = label(industry)
        if industry is None:
            wrong += ("industry",)
    if campaign_type is not None:
        campaign_type = label(campaign_type)
        if campaign_type is None:
            wrong += ("campaign_type",)
    if success is not None and type(success) is not bool:
        success = None
        wrong += ("success",)
    if score is not None:
        # The second half is false for NaN alone.
        if (type(score) is float or type(score) is int) and score == score:
            score = 0.0 if score < 0 else SCORE_MAX if score > SCORE_MAX else float(score)
            score = round(score, _SCORE_DECIMALS)
        else:
            score = None
            wrong += ("success_score",)
    return Facts(industry, campaign_type, success, score), wrong


def label(value: Any) -> str | None:
    """The value as a label, None where it cannot be one."""
    if type(value) is not str:
        return None
    text: str = value if value.isascii() else unicodedata.normalize("NFC", value)
    if 0 < len(text) <= LABEL_CHARS_MAX and (text.isprintable() or not control_in(text)):
        return text
    return None
