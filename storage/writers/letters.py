"""Make dead letters of records, whatever is in them."""

from __future__ import annotations

import hashlib

from infra.kafka.consumer import ConsumedRecord
from infra.kafka.producer import Record
from infra.topics import DEAD_LETTERS
from ingestion.events.dead_letter import DeadLetter

_TEXT_CHARS_MAX = 500
# The topic's copy must fit a Kafka message after base64; the table keeps the whole.
PUBLISHED_BYTES_MAX = 1_000_000


def letter_of(
    record: ConsumedRecord,
    reason: str,
    detail: str,
    *,
    at_ms: int,
    client_id: str | None = None,
    event_id: str | None = None,
) -> DeadLetter:
    """A dead letter; texts that come from the record are made fit for any store."""
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=reason,
        detail=plain(detail),
        raw=record.value or b"",
        client_id=None if client_id is None else plain(client_id),
        event_id=None if event_id is None else plain(event_id),
        at_ms=at_ms,
    )


def to_publish(letter: DeadLetter) -> Record:
    """The letter for the dead-letter topic; a huge body is cut, with its size and hash told."""
    published = letter
    if len(letter.raw) > PUBLISHED_BYTES_MAX:
        digest = hashlib.sha256(letter.raw).hexdigest()
        published = DeadLetter(
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
            reason=letter.reason,
            detail=f"{letter.detail} [first {PUBLISHED_BYTES_MAX} of {len(letter.raw)} bytes,"
            f" sha256 of all {digest}]",
            raw=letter.raw[:PUBLISHED_BYTES_MAX],
            client_id=letter.client_id,
            event_id=letter.event_id,
            at_ms=letter.at_ms,
        )
    key = f"{letter.topic}/{letter.partition}/{letter.offset}".encode()
    return Record(DEAD_LETTERS.name, key, published.to_bytes())


def plain(text: str) -> str:
    """Bounded text without NUL and without lone surrogates, both made visible."""
    visible = text[:_TEXT_CHARS_MAX].encode("utf-8", "backslashreplace").decode()
    return visible.replace("\x00", "\\x00")
