"""API keys: made here, shown once, stored as a hash."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from infra.errors import RejectedInput
from storage.postgres.pool import Pool

SCOPES = ("ingest", "read", "admin")
_ALPHABET = string.ascii_letters + string.digits
_ID_LENGTH = 8
_SECRET_LENGTH = 43
_CLIENT_ID = re.compile(r"[A-Za-z0-9_.:-]{1,50}")
_NAME_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of a key."""

    key_id: str
    key_prefix: str
    client_id: str
    scopes: tuple[str, ...]
    name: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What is needed to check a key; `key_hash` is `hash_key(whole key)`."""

    key_id: str
    key_hash: bytes
    client_id: str
    scopes: frozenset[str]
    revoked: bool


class KeyRefused(RejectedInput):
    """The wished key breaks a rule."""


def hash_key(key: str) -> bytes:
    """SHA-256 of the whole key. A key holds 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(key.encode()).digest()


class KeyStore:
    """Keys in Postgres. Every call raises PostgresAway when it cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def create(self, client_id: str, scopes: Sequence[str], name: str) -> tuple[ApiKey, str]:
        """A new key and its secret text `ssk_<id>_<secret>`, which cannot be had again.

        Raises:
            KeyRefused: the client id, a scope or the name is not acceptable.
        """
        _check(client_id, scopes, name)
        key_id = _random_text(_ID_LENGTH)
        key = f"ssk_{key_id}_{_random_text(_SECRET_LENGTH)}"
        with self._pool.connection() as connection:
            row = connection.execute(
                "INSERT INTO api_keys (key_id, key_prefix, key_hash, client_id, scopes, name)"
                " VALUES (%s, %s, %s, %s, %s, %s) RETURNING created_at",
                (key_id, f"ssk_{key_id}", hash_key(key), client_id, list(scopes), name),
            ).fetchone()
        assert row is not None
        return ApiKey(key_id, f"ssk_{key_id}", client_id, tuple(scopes), name, row[0], None), key

    def list(self) -> Sequence[ApiKey]:
        """Every key, revoked ones too, oldest first."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                "SELECT key_id, key_prefix, client_id, scopes, name, created_at, revoked_at"
                " FROM api_keys ORDER BY created_at, key_id"
            ).fetchall()
        return [ApiKey(row[0], row[1], row[2], tuple(row[3]), *row[4:]) for row in rows]

    def revoke(self, key_id: str) -> bool:
        """Make a key useless; False when there is no such key (twice is fine)."""
        with self._pool.connection() as connection:
            changed = connection.execute(
                "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = %s",
                (key_id,),
            ).rowcount
        return changed > 0

    def find(self, key_id: str) -> StoredKey | None:
        """The key as stored, revoked or not; None when there is no such key."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT key_id, key_hash, client_id, scopes, revoked_at IS NOT NULL"
                " FROM api_keys WHERE key_id = %s",
                (key_id,),
            ).fetchone()
        if row is None:
            return None
        return StoredKey(row[0], bytes(row[1]), row[2], frozenset(row[3]), row[4])


def _check(client_id: str, scopes: Sequence[str], name: str) -> None:
    if not _CLIENT_ID.fullmatch(client_id):
        raise KeyRefused(
            f"The client id {client_id[:60]!r} is not acceptable.",
            remedy="Use 1 to 50 of A-Z a-z 0-9 _ . : -",
        )
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes or len(set(scopes)) != len(scopes):
        raise KeyRefused(
            f"The scopes {', '.join(scopes) or '(none)'} are not acceptable.",
            remedy=f"Name at least one of {', '.join(SCOPES)}, each once.",
        )
    if len(name) > _NAME_LENGTH_MAX or not name.isprintable():
        raise KeyRefused(
            "The key's name is too long or not printable.",
            remedy=f"Use up to {_NAME_LENGTH_MAX} printable characters.",
        )


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
