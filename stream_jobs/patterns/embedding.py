"""A pattern's meaning as a point on the unit sphere, by feature hashing (version 1).

Depends on industry, campaign type and path only, never on totals, so a row's vector is written
once. Each feature adds a signed weight to one of 512 coordinates (Weinberger et al. 2009,
"Feature hashing for large scale multitask learning"); cosine similarity then compares the
weighted features that two patterns share. The weights make this order, nearest first: the same
meaning, half of another context, half of another path, wholly another context, wholly another
path.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stream_jobs.patterns.detect import PATH_STEPS_MAX, Path

EMBEDDING_VERSION = 1
DIMENSIONS = 512

_WEIGHTS = {
    "industry": 1.0,
    "campaign_type": 1.0,
    "step": 0.7,
    "pair": 0.6,
    "first": 0.4,
    "last": 0.8,
}
Vector = NDArray[np.float32]


def features(
    industry: str | None, campaign_type: str | None, path: Path | None
) -> dict[str, float]:
    """Name → weight of every feature of a pattern or of a question; None parts are left out."""
    named: dict[str, float] = {}
    if industry is not None:
        named[f"industry={_nfc(industry)}"] = _WEIGHTS["industry"]
    if campaign_type is not None:
        named[f"campaign_type={_nfc(campaign_type)}"] = _WEIGHTS["campaign_type"]
    steps = [_nfc(step) for step in (path or ())[-PATH_STEPS_MAX:]]
    for step in steps:
        named[f"step={step}"] = _WEIGHTS["step"]
    for before, after in pairwise(steps):
        named[f"pair={before}\x1f{after}"] = _WEIGHTS["pair"]
    if steps:
        named[f"first={steps[0]}"] = _WEIGHTS["first"]
        named[f"last={steps[-1]}"] = _WEIGHTS["last"]
    return named


def embed(industry: str, campaign_type: str, path: Path) -> Vector:
    """float32[512], L2 norm 1."""
    return _vector(features(industry, campaign_type, path))


def embed_query(
    industry: str | None = None, campaign_type: str | None = None, path: Path | None = None
) -> Vector:
    """float32[512], L2 norm 1, of a question that may leave parts open.

    Raises:
        ValueError: nothing at all is given.
    """
    named = features(industry, campaign_type, path)
    if not named:
        raise ValueError("a question needs an industry, a campaign type or a path")
    return _vector(named)


def shared_features(
    asked: dict[str, float], found: dict[str, float]
) -> tuple[list[str], list[str]]:
    """(features of the question that the pattern has, those it lacks), each in asking order."""
    matched = [name for name in asked if name in found]
    return matched, [name for name in asked if name not in found]


def _vector(named: dict[str, float]) -> Vector:
    weights: dict[int, float] = {}
    for name, weight in named.items():
        index, sign = _slot(name)
        weights[index] = weights.get(index, 0.0) + sign * weight
    # Summed here and not in the numeric library, whose last digit depends on the processor.
    norm = math.sqrt(math.fsum(weight * weight for weight in weights.values()))
    if norm == 0.0:  # features met in one slot with opposite signs, and there was nothing else
        index, norm = _slot("\x1f".join(named))[0], 1.0
        weights = {index: 1.0}
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for index, weight in weights.items():
        vector[index] = weight / norm
    return vector


@lru_cache(maxsize=65_536)
def _slot(feature: str) -> tuple[int, float]:
    """Coordinate and sign of a feature: stable across machines and versions of Python."""
    digest = hashlib.blake2b(feature.encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "big")
    return number % DIMENSIONS, 1.0 if number >> 63 else -1.0


def _nfc(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)
