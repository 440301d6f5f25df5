"""Why a pattern is the answer, in plain words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_jobs.patterns.detect import UNKNOWN
from stream_jobs.patterns.embedding import features, shared_features

ARROW = " > "


@dataclass(frozen=True, slots=True)
class Evidence:
    """The numbers of one pattern; rates and confidence in [0, 1], sizes in windows."""

    path: Sequence[str]
    industry: str
    campaign_type: str
    success_rate: float
    sample_size: int
    context_success_rate: float | None
    confidence: float


def sentence(evidence: Evidence) -> str:
    """One sentence with the numbers that speak for the pattern."""
    said = (
        f"After {ARROW.join(evidence.path)}, {_percent(evidence.success_rate)} of "
        f"{evidence.sample_size:,} session windows succeed"
    )
    higher = "it is higher"
    if evidence.context_success_rate is None:
        higher = "that is more than in general"
    else:
        said += f" against {_percent(evidence.context_success_rate)} in general"
    place = _place(evidence.industry, evidence.campaign_type)
    if place:
        said += f" ({place})"
    return f"{said}; {_sureness(evidence.confidence)} sure {higher}."


def overlap(
    asked: dict[str, float], industry: str, campaign_type: str, path: tuple[str, ...]
) -> tuple[list[str], list[str]]:
    """(what the pattern has of what was asked for, what it lacks), in words, in asking order.

    `asked` are the `features` of the question.
    """
    matched, missing = shared_features(asked, features(industry, campaign_type, path))
    return [_words(name) for name in matched], [_words(name) for name in missing]


def _words(feature: str) -> str:
    kind, _, value = feature.partition("=")
    match kind:
        case "pair":
            return " directly followed by ".join(value.split("\x1f"))
        case "first":
            return f"begins with {value}"
        case "last":
            return f"ends with {value}"
        case "step":
            return f"contains {value}"
        case _:
            return f"{kind.replace('_', ' ')} is {value}"


def _place(industry: str, campaign_type: str) -> str:
    parts = []
    if industry != UNKNOWN:
        parts.append(f"industry {industry}")
    if campaign_type != UNKNOWN:
        parts.append(f"campaign type {campaign_type}")
    return ", ".join(parts)


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _sureness(confidence: float) -> str:
    """Never 100 %: the stored figure is rounded."""
    return "more than 99.9 %" if confidence > 0.9994 else _percent(confidence)
