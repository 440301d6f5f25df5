"""Who asks: the writer's account and the read-only analyst, by password."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from infra.local.clickhouse.errors import AccountUnset, ClickHouseError
from infra.settings import Settings


class Headers(Protocol):
    """Request headers, names in any case."""

    def get(self, name: str, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the stand-in; the password is kept as its SHA-256."""

    name: str
    password_digest: bytes
    read_only: bool

    @classmethod
    def of(cls, name: str, password: str, *, read_only: bool) -> Account:
        return cls(name, _digest(password), read_only)


_NOBODY = Account("", b"\x00" * 32, read_only=True)


class Accounts:
    """Checks names and passwords in the same time whether or not the name exists."""

    def __init__(self, accounts: tuple[Account, ...]) -> None:
        self._by_name = {account.name: account for account in accounts}

    @classmethod
    def from_settings(cls, settings: Settings) -> Accounts:
        """The writer, and the analyst when it has a password.

        Raises:
            AccountUnset: the writer's password is empty.
        """
        password = settings.clickhouse_password.get_secret_value()
        if not password:
            raise AccountUnset(
                f"The ClickHouse account {settings.clickhouse_user!r} has no password.",
                remedy="Run `sagestream up`, which makes one, or set"
                " SAGESTREAM_CLICKHOUSE_PASSWORD.",
            )
        accounts = [Account.of(settings.clickhouse_user, password, read_only=False)]
        analyst = settings.clickhouse_analyst_password.get_secret_value()
        if analyst:
            accounts.append(Account.of(settings.clickhouse_analyst_user, analyst, read_only=True))
        return cls(tuple(accounts))

    def authenticate(self, headers: Headers, parameters: Mapping[str, str]) -> Account:
        """The account of a request.

        Credentials may stand in X-ClickHouse-User/-Key, in Basic authorization, or in the
        parameters `user` and `password`, but only in one of these places.

        Raises:
            ClickHouseError: 516; status 401 when nothing was given, else 403.
        """
        name, password, given = _credentials(headers, parameters)
        account = self._by_name.get(name, _NOBODY)
        fits = hmac.compare_digest(account.password_digest, _digest(password))
        if account is not _NOBODY and fits:
            return account
        raise ClickHouseError(
            516,
            "AUTHENTICATION_FAILED",
            f"{name}: Authentication failed: password is incorrect, or there is no user with such"
            " name.",
            status=403 if given else 401,
        )


def _credentials(headers: Headers, parameters: Mapping[str, str]) -> tuple[str, str, bool]:
    """(name, password, whether anything was given)."""
    user = headers.get("X-ClickHouse-User")
    key = headers.get("X-ClickHouse-Key")
    authorization = headers.get("Authorization")
    in_headers = user is not None or key is not None
    in_parameters = "user" in parameters or "password" in parameters
    if in_headers + in_parameters + (authorization is not None) > 1:
        raise ClickHouseError(
            516,
            "AUTHENTICATION_FAILED",
            "Invalid authentication: credentials stand in more than one place of the request",
        )
    if authorization is not None:
        name, password = _basic(authorization)
        return name, password, True
    if in_headers:
        return user or "default", key or "", True
    if in_parameters:
        return parameters.get("user", "default"), parameters.get("password", ""), True
    return "default", "", False


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise ClickHouseError(
            516,
            "AUTHENTICATION_FAILED",
            "Invalid authentication: only the Basic authorization scheme is supported",
        )
    try:
        name, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise ClickHouseError(
            516, "AUTHENTICATION_FAILED", "Invalid authentication: malformed Basic authorization"
        ) from None
    return name, password


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8", "surrogateescape")).digest()
