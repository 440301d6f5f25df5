"""The hash is that of the canonical JSON of five parts, as documented."""

from __future__ import annotations

from hashlib import sha256

from ingestion.events.canonical import canonical_json
from tests.support.builders import DAY_MS, event


def test_the_body_hash_is_the_documented_one() -> None:
    made = event(session_id='s"\u00e9', user_id=None, data={"b": 1.5, "a": "\u00fc"})
    parts = ['s"\u00e9', None, "view", DAY_MS, {"b": 1.5, "a": "\u00fc"}]
    assert made.body_hash == sha256(canonical_json(parts)).hexdigest()[:32]
