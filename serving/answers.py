"""What is answered; the OpenAPI page is made from these."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Rate = Annotated[float, Meta(ge=0, le=1)]
PatternHash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Utc = Annotated[datetime, Meta(tz=True)]
Milliseconds = Annotated[int, Meta(ge=0)]
Tier = Literal["none", "store"]


class Interval(msgspec.Struct, frozen=True):
    """Wilson interval of the success rate."""

    low: Rate
    high: Rate
    level: Rate = 0.95


class PatternBody(msgspec.Struct, frozen=True, kw_only=True):
    """One detected pattern: in this context, what followed this path."""

    pattern_hash: PatternHash
    pattern_type: str
    industry: str
    campaign_type: str
    path: list[str]
    success_rate: Annotated[
        Rate, Meta(description="Mean success of the five-minute session windows with this path.")
    ]
    context_success_rate: Annotated[
        Rate | None, Meta(description="The same over every window of the context.")
    ]
    lift: Annotated[
        float | None,
        Meta(description="success_rate over context_success_rate; null when that is 0."),
    ]
    confidence_score: Annotated[
        Rate, Meta(description="Probability that the pattern's rate is above its context's.")
    ]
    sample_size: Annotated[int, Meta(ge=0, description="Windows in which the path occurred.")]
    client_count: Annotated[int, Meta(ge=0, description="Clients the windows come from.")]
    interval: Interval
    algorithm_version: int
    embedding_version: int
    first_seen: Utc
    last_seen: Utc
    updated_at: Utc


class Why(msgspec.Struct, frozen=True):
    """The reason for a match, in words."""

    sentence: str
    matched: Annotated[list[str], Meta(description="What was asked for and the pattern has.")]
    not_matched: Annotated[list[str], Meta(description="What was asked for and it lacks.")]


class Match(PatternBody, frozen=True, kw_only=True):
    """A pattern, how near it is to the question, and why it is here."""

    distance: Annotated[float, Meta(ge=0, le=2, description="Cosine distance of the embeddings.")]
    similarity: Annotated[float, Meta(ge=-1, le=1, description="1 - distance.")]
    why: Why


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the log an answer knows."""

    as_of: Annotated[
        Utc | None,
        Meta(description="End of the newest window in the store, in event time; null while empty."),
    ]
    staleness_ms: Annotated[
        Milliseconds | None, Meta(description="How long ago that was when this was answered.")
    ]
    store_updated_at: Annotated[
        Utc | None, Meta(description="When the store last took in windows.")
    ]


class Versions(msgspec.Struct, frozen=True):
    """What computed the answer; `model` is null because no trained model takes part in it."""

    algorithm: int
    embedding: int
    model: str | None = None


class Asked(msgspec.Struct, frozen=True):
    """The question as it was understood."""

    industry: str | None
    campaign_type: str | None
    path: list[str] | None
    k: int


class MatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Nearest first; of equally near ones the surest, then the one with the largest lift."""

    matches: list[Match]
    asked: Asked
    freshness: Freshness
    versions: Versions
    cache_tier: Annotated[
        Tier,
        Meta(description="Which tier answered: `store` = read from the pattern store just now."),
    ]


class PatternAnswer(PatternBody, frozen=True, kw_only=True):
    """One pattern with its outcomes."""

    outcomes: Annotated[dict[str, Any], Meta(description="What followed, as the store holds it.")]
    sentence: str
    freshness: Freshness
    versions: Versions
    cache_tier: Tier


class Health(msgspec.Struct, frozen=True):
    """The process runs."""

    alive: bool


class Ready(msgspec.Struct, frozen=True):
    """Whether questions can be answered, and what is missing (part → trouble)."""

    ready: bool
    degraded: dict[str, str]
