"""The identity of a pattern: its meaning, without any client."""

from __future__ import annotations

import hashlib
import unicodedata

from ingestion.events.canonical import canonical_json
from stream_jobs.patterns.detect import ALGORITHM_VERSION, Path

PATTERN_TYPE = "session_path"


def pattern_hash(industry: str, campaign_type: str, path: Path) -> str:
    """SHA-256 hex (64 characters) of the canonical JSON of what the pattern says."""
    meaning = {
        "algorithm_version": ALGORITHM_VERSION,
        "campaign_type": _nfc(campaign_type),
        "industry": _nfc(industry),
        "path": [_nfc(step) for step in path],
        "pattern_type": PATTERN_TYPE,
    }
    return hashlib.sha256(canonical_json(meaning)).hexdigest()


def _nfc(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)
