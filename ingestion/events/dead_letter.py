"""One shape for every record that nobody could use."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from ingestion.events.canonical import canonical_json

_TEXTS = ("reason", "detail", "client_id", "event_id")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Where the record lay, why it was refused, and its bytes as they were.

    Texts come from records that broke the rules, so what no store can keep in them (NUL, lone
    surrogates) is escaped here; `raw` alone is untouched.
    """

    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    raw: bytes
    client_id: str | None
    event_id: str | None
    at_ms: int

    def __post_init__(self) -> None:
        for name in _TEXTS:
            text = getattr(self, name)
            if text is not None and not text.isprintable():
                kept = text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
                object.__setattr__(self, name, kept)

    def to_bytes(self) -> bytes:
        """Canonical JSON; `raw` as base64 in `raw_base64`."""
        return canonical_json(
            {
                "at_ms": self.at_ms,
                "client_id": self.client_id,
                "detail": self.detail,
                "event_id": self.event_id,
                "offset": self.offset,
                "partition": self.partition,
                "raw_base64": base64.b64encode(self.raw).decode(),
                "reason": self.reason,
                "topic": self.topic,
            }
        )

    @classmethod
    def from_bytes(cls, raw: bytes) -> DeadLetter:
        """Inverse of `to_bytes`.

        Raises:
            ValueError: not a dead letter.
        """
        try:
            fields = json.loads(raw)
            body = base64.b64decode(fields.pop("raw_base64"), validate=True)
            return cls(raw=body, **fields)
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a dead letter: {error}") from None
