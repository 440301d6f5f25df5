"""Who is calling, found from the key a request carries."""

from __future__ import annotations

import base64
import binascii
from typing import Protocol

import msgspec

SCOPES = ("ingest", "read", "admin")


class Principal(msgspec.Struct, frozen=True, gc=False):
    """The tenant behind a key and what the key allows."""

    client_id: str
    key_id: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        return scope in self.scopes


class Authenticator(Protocol):
    """Turns the text of a key into its principal."""

    async def authenticate(self, secret: str) -> Principal | None:
        """None for a wrong, unknown or revoked key.

        Raises:
            RetryLater: the key is not known here and the store that would know is away.
        """
        ...


def key_of(authorization: str | None) -> str | None:
    """The key inside an `Authorization` header: `Bearer KEY`, or `Basic` with KEY as user name."""
    if not authorization:
        return None
    kind, _, value = authorization.partition(" ")
    kind = kind.lower()
    if kind == "bearer":
        return value.strip() or None
    if kind == "basic":
        try:
            decoded = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        return decoded.partition(":")[0] or None
    return None
