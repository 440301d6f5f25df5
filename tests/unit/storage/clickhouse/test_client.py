"""Sorting ClickHouse's errors by what the caller can do."""

from __future__ import annotations

from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, DataError, OperationalError

from infra.settings import Settings
from storage.clickhouse import client as client_module
from storage.clickhouse.client import ClickHouse
from storage.clickhouse.errors import ClickHouseAway, ClickHouseRefused


def server_error(code: int) -> DatabaseError:
    error = DatabaseError(
        f"Received ClickHouse exception, code: {code}, server response: Code: {code}."
        " DB::Exception: what it said (NAME) (for url http://x)"
    )
    error.code = code
    return error


class Library:
    def __init__(self, error: Exception) -> None:
        self.error = error
        self.closed = False

    def query(self, *_arguments: Any, **_options: Any) -> Any:
        raise self.error

    def close(self) -> None:
        self.closed = True


def raised(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Exception:
    monkeypatch.setattr(
        client_module.clickhouse_connect, "get_client", lambda **_options: Library(error)
    )
    with pytest.raises((ClickHouseAway, ClickHouseRefused)) as caught:
        ClickHouse(Settings()).rows("SELECT 1")
    return caught.value


@pytest.mark.parametrize("code", [159, 202, 241, 252])
def test_faults_that_pass_may_be_tried_again(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    assert isinstance(raised(monkeypatch, server_error(code)), ClickHouseAway)


@pytest.mark.parametrize("code", [60, 62, 164, 516])
def test_a_server_that_says_no_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    error = raised(monkeypatch, server_error(code))
    assert isinstance(error, ClickHouseRefused)
    assert "what it said" in str(error)


@pytest.mark.parametrize(
    "error", [OperationalError("connection refused"), ConnectionResetError("gone")]
)
def test_no_answer_is_no_refusal(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    assert isinstance(raised(monkeypatch, error), ClickHouseAway)


def test_data_that_fits_no_column_is_ours_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(raised(monkeypatch, DataError("too long")), ClickHouseRefused)


def test_the_cause_is_told_in_the_systems_words(monkeypatch: pytest.MonkeyPatch) -> None:
    error = OperationalError("Max retries exceeded with url: /?query_id=1")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert "does not answer: Connection refused" in str(raised(monkeypatch, error))


def test_trouble_is_one_sentence_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        client_module.clickhouse_connect,
        "get_client",
        lambda **_options: Library(OperationalError("no")),
    )
    store = ClickHouse(Settings(), user="u", password="hunter2")
    assert store.trouble() is not None
    assert "hunter2" not in str(store.trouble())
