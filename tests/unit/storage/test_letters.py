"""Dead letters can be made of anything."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.consumer import ConsumedRecord
from ingestion.events.dead_letter import DeadLetter
from storage.writers.letters import PUBLISHED_BYTES_MAX, letter_of, plain, to_publish


def record(value: bytes | None) -> ConsumedRecord:
    return ConsumedRecord("topic", 3, 14, None, value, 0)


@given(st.text(alphabet=st.characters(codec=None), max_size=50))
def test_any_text_becomes_storable(text: str) -> None:
    stored = plain(text)
    assert "\x00" not in stored
    stored.encode()


@given(st.binary(max_size=200))
def test_the_published_letter_holds_the_record_untouched(raw: bytes) -> None:
    letter = letter_of(record(raw), "not_json", "why\x00", at_ms=5, client_id="\ud800")
    published = to_publish(letter)
    assert DeadLetter.from_bytes(published.value or b"").raw == raw
    assert published.key == b"topic/3/14"


def test_a_record_without_value_is_an_empty_letter() -> None:
    assert letter_of(record(None), "empty", "", at_ms=5).raw == b""


def test_a_huge_record_is_published_short_with_size_and_hash() -> None:
    raw = b"x" * (PUBLISHED_BYTES_MAX + 1)
    letter = letter_of(record(raw), "not_json", "why", at_ms=5)
    assert letter.raw == raw
    published = DeadLetter.from_bytes(to_publish(letter).value or b"")
    assert len(published.raw) == PUBLISHED_BYTES_MAX
    assert str(len(raw)) in published.detail
    assert hashlib.sha256(raw).hexdigest() in published.detail
