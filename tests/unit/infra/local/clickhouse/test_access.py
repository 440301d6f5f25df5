"""Who may ask, and what a read-only account may change."""

from __future__ import annotations

import base64

import pytest

from infra.local.clickhouse.accounts import Account, Accounts
from infra.local.clickhouse.errors import AccountUnset, ClickHouseError
from infra.local.clickhouse.limits import AnalystLimits, Limits, analyst_settings
from infra.local.clickhouse.request import Query, read_query, split_target
from infra.settings import Settings

WRITER = Account.of("sagestream", "w-secret", read_only=False)
ANALYST = Account.of("analyst", "a-secret", read_only=True)
ACCOUNTS = Accounts((WRITER, ANALYST))


def basic(name: str, password: str) -> dict[str, str]:
    token = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def refusal(headers: dict[str, str], parameters: dict[str, str]) -> ClickHouseError:
    with pytest.raises(ClickHouseError) as caught:
        ACCOUNTS.authenticate(headers, parameters)
    return caught.value


@pytest.mark.parametrize(
    ("headers", "parameters"),
    [
        (basic("analyst", "a-secret"), {}),
        ({"X-ClickHouse-User": "analyst", "X-ClickHouse-Key": "a-secret"}, {}),
        ({}, {"user": "analyst", "password": "a-secret"}),
    ],
)
def test_credentials_may_stand_in_any_one_place(
    headers: dict[str, str], parameters: dict[str, str]
) -> None:
    assert ACCOUNTS.authenticate(headers, parameters) is ANALYST


@pytest.mark.parametrize(
    "headers",
    [
        basic("analyst", "w-secret"),
        basic("nobody", "a-secret"),
        basic("", ""),
        basic("analyst", ""),
    ],
)
def test_wrong_names_and_passwords_are_refused_alike(headers: dict[str, str]) -> None:
    error = refusal(headers, {})
    assert (error.code, error.status) == (516, 403)
    assert "password is incorrect, or there is no user with such name" in str(error)


def test_without_credentials_a_browser_is_asked_for_them() -> None:
    assert refusal({}, {}).status == 401


def test_credentials_in_two_places_are_refused() -> None:
    assert refusal(basic("analyst", "a-secret"), {"user": "analyst"}).code == 516


@pytest.mark.parametrize("value", ["Bearer x", "Basic !!!", "Basic", "Basic //8="])
def test_other_authorization_is_refused(value: str) -> None:
    assert refusal({"Authorization": value}, {}).code == 516


def test_an_account_without_password_does_not_start() -> None:
    with pytest.raises(AccountUnset, match="no password"):
        Accounts.from_settings(Settings())


def test_a_refusal_never_quotes_the_password() -> None:
    assert "hunter2" not in str(refusal(basic("analyst", "hunter2"), {}))


def test_an_analyst_may_lower_a_limit_and_never_raise_it() -> None:
    limits = AnalystLimits(execution_s=30)
    assert analyst_settings({"max_execution_time": "5"}, limits)["max_execution_time"] == "5"
    for value in ("31", "0", "-1", "nan", "inf", ""):
        with pytest.raises(ClickHouseError, match="Cannot modify 'max_execution_time'"):
            analyst_settings({"max_execution_time": value}, limits)


def test_an_analyst_may_choose_looks_but_no_files() -> None:
    granted = analyst_settings({"output_format_json_quote_64bit_integers": "1"}, AnalystLimits())
    assert granted["output_format_json_quote_64bit_integers"] == "1"
    for name in ("format_template_resultset", "format_schema", "allow_ddl", "max_memory_usage_x"):
        with pytest.raises(ClickHouseError):
            analyst_settings({name: "/etc/passwd"}, AnalystLimits())


def test_an_analyst_cannot_leave_read_only_mode() -> None:
    assert "readonly" not in analyst_settings({"readonly": "0"}, AnalystLimits())


def query(method: str = "POST", account: Account = WRITER, **parameters: str) -> Query:
    return read_query(
        method, parameters, {}, account=account, limits=Limits(), database="sagestream"
    )


def test_get_only_reads() -> None:
    assert query("GET").readonly == 2
    assert query("POST").readonly == 0
    assert query("GET", ANALYST).readonly == 1


def test_parameters_split_into_settings_and_substitutions() -> None:
    found = query(query="SELECT {id:String}", param_id="x'y", max_threads="2", session_id="s")
    assert found.parameters == {"id": "x'y"}
    assert found.settings["max_threads"] == "2"
    assert "session_id" not in found.settings
    assert found.query_text == b"SELECT {id:String}\n"


def test_the_database_defaults_to_the_platforms() -> None:
    assert query().database == "sagestream"
    assert query(database="other").database == "other"


@pytest.mark.parametrize("name", ["a b", "a'b", "x=1,y", "ä"])
def test_a_setting_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ClickHouseError) as caught:
        query(**{name: "1"})
    assert caught.value.code == 115


def test_a_substitution_that_is_no_name_is_refused() -> None:
    with pytest.raises(ClickHouseError):
        query(**{"param_a = 1, max_threads": "1"})


def test_framed_answers_are_refused_with_the_way_out() -> None:
    with pytest.raises(ClickHouseError, match="enable_http_compression"):
        query(compress="1")


def test_the_target_keeps_bytes_that_are_no_utf8() -> None:
    _path, parameters = split_target("/?query=SELECT%20%27%FF%27")
    assert parameters["query"].encode("utf-8", "surrogateescape") == b"SELECT '\xff'"


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(ClickHouseError):
        split_target("/?" + "&".join(f"a{n}=1" for n in range(3_000)))
