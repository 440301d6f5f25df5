"""Who may do what: a writer, and analysts who read tables within limits."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from infra.errors import CannotRun
from infra.local.clickhouse.errors import EngineError
from infra.settings import Settings

# An analyst may ask for less than these, never for more.
ANALYST_LIMITS = {
    "max_execution_time": 60,
    "max_memory_usage": 2_000_000_000,
    "max_result_rows": 1_000_000,
    "max_rows_to_read": 1_000_000_000,
}


@dataclass(frozen=True, slots=True)
class User:
    """`read_only` users cannot change data, definitions or their own limits."""

    name: str
    password: str
    read_only: bool


class Users:
    """Name and password → user."""

    def __init__(self, settings: Settings) -> None:
        known = (
            User(
                settings.clickhouse_user,
                settings.clickhouse_password.get_secret_value(),
                read_only=False,
            ),
            User(
                settings.clickhouse_analyst_user,
                settings.clickhouse_analyst_password.get_secret_value(),
                read_only=True,
            ),
        )
        for user in known:
            if not user.password:
                raise CannotRun(
                    f"The ClickHouse user {user.name} has no password.",
                    remedy="Run `sagestream up`, which makes one, or set "
                    "SAGESTREAM_CLICKHOUSE_PASSWORD and SAGESTREAM_CLICKHOUSE_ANALYST_PASSWORD.",
                )
        self._known: Mapping[str, User] = {user.name: user for user in known}

    def authenticate(self, name: str, password: str) -> User:
        """Raises EngineError 516 for a wrong name or password, in the same words and time."""
        user = self._known.get(name)
        expected = user.password if user else "-"
        if not hmac.compare_digest(password.encode(), expected.encode()) or user is None:
            raise EngineError(
                516,
                "Authentication failed: password is incorrect, or there is no user with such name.",
            )
        return user
