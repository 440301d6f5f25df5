"""Ids made by the gateway are version 7 UUIDs, in order of time."""

from __future__ import annotations

import uuid

from ingestion.gateway.ids import uuid7


def test_it_is_a_version_7_uuid_of_the_rfc_variant() -> None:
    made = uuid.UUID(uuid7(1_795_400_000_000, b"\xff" * 10))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 1_795_400_000_000


def test_later_ids_sort_after_earlier_ones() -> None:
    assert uuid7(1_000, b"\xff" * 10) < uuid7(1_001, b"\x00" * 10)


def test_different_random_bits_make_different_ids() -> None:
    made = {uuid7(1, bytes([n]) * 10) for n in range(256)}
    assert len(made) == 256
