"""What the gateway lets in: one rule per test; every refusal names field and remedy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.events.admission import AGE_MS_MAX, AHEAD_MS_MAX, Admitted, admit
from ingestion.events.canonical import canonical_json
from ingestion.events.codec import decode, encode
from ingestion.events.errors import RejectedEvent
from ingestion.events.values import find_fault, is_plain

NOW = 1_795_400_000_000


def admitted(**fields: Any) -> Admitted:
    raw = {"event_id": "e-1", "session_id": "s-1", "event_type": "view", **fields}
    raw = {name: value for name, value in raw.items() if value is not ...}
    return admit(raw, client_id="acme", received_at=NOW, new_id=lambda: "made-here")


def refused(**fields: Any) -> RejectedEvent:
    with pytest.raises(RejectedEvent) as caught:
        admitted(**fields)
    assert caught.value.remedy
    return caught.value


def test_a_minimal_event_is_accepted_at_its_receipt_time() -> None:
    event = admitted().event
    assert (event.client_id, event.event_time, event.received_at) == ("acme", NOW, NOW)
    assert event.event_data == b"{}"


def test_an_event_without_an_id_gets_one_and_cannot_be_deduplicated() -> None:
    made = admitted(event_id=...)
    assert (made.event.event_id, made.dedupable) == ("made-here", False)


@pytest.mark.parametrize("value", ["", "a b", "x" * 65, "e/1", "\u00e9", 7, ["e"], {}])
def test_an_event_id_is_64_plain_characters_at_most(value: Any) -> None:
    assert refused(event_id=value).field == "event_id"


@pytest.mark.parametrize("value", [..., None, "", "x" * 101, 7, "a\x00b", "a\nb", "a\ud800"])
def test_a_session_id_is_required_text_of_100_characters_at_most(value: Any) -> None:
    assert refused(session_id=value).field == "session_id"


@pytest.mark.parametrize("value", ["", "x" * 51, 7, "a\x7f"])
def test_a_user_id_is_optional_text_of_50_characters_at_most(value: Any) -> None:
    assert admitted(user_id=None).event.user_id is None
    assert refused(user_id=value).field == "user_id"


@pytest.mark.parametrize("value", [..., "", "x" * 51, "tab\there", "nul\x00", "\u0085", 3])
def test_an_event_type_is_1_to_50_characters_without_control_characters(value: Any) -> None:
    assert refused(event_type=value).field == "event_type"


@pytest.mark.parametrize(
    "value", ["Order Completed", "a|b>c/d", "\u8a55\u4fa1", "lesson.completed"]
)
def test_any_other_event_type_is_kept_as_it_is(value: str) -> None:
    assert admitted(event_type=value).event.event_type == value


def test_an_event_type_is_brought_to_nfc() -> None:
    assert admitted(event_type="cafe\u0301").event.event_type == "caf\u00e9"


def test_event_types_that_begin_with_an_underscore_are_reserved() -> None:
    assert refused(event_type="_heartbeat").field == "event_type"


def test_the_tenant_never_comes_from_the_body() -> None:
    assert "API key" in refused(client_id="globex").remedy


def test_an_unknown_field_is_named_with_where_to_put_it() -> None:
    refusal = refused(colour="red")
    assert refusal.field == "colour"
    assert "event_data" in refusal.remedy


def test_a_refusal_names_its_event() -> None:
    assert refused(event_type=5).event_id == "e-1"


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2026-11-20T10:00:00Z", 1_795_168_800_000),
        ("2026-11-20T10:00:00.123Z", 1_795_168_800_123),
        ("2026-11-20T12:00:00+02:00", 1_795_168_800_000),
        ("2026-11-20T10:00:00", 1_795_168_800_000),
        ("2026-11-20T10:00:00.123999+00:00", 1_795_168_800_123),
        ("2026-11-20T10:00:00.123456789Z", 1_795_168_800_123),
        ("2026-11-20t10:00:00z", 1_795_168_800_000),
        ("2026-11-20 10:00:00Z", 1_795_168_800_000),
    ],
)
def test_a_timestamp_is_iso_8601_and_utc_without_a_zone(stamp: str, expected: int) -> None:
    assert admitted(timestamp=stamp).event.event_time == expected


@pytest.mark.parametrize("stamp", ["yesterday", "", 7, "2026-13-01T00:00:00Z", ["x"], True])
def test_any_other_timestamp_is_refused(stamp: Any) -> None:
    assert refused(timestamp=stamp).field == "timestamp"


@pytest.mark.parametrize("value", ["1795000000000", 1.5, True, 2**70])
def test_an_event_time_is_an_integer_in_milliseconds(value: Any) -> None:
    assert refused(event_time=value).field in {"event_time", "timestamp"}


def test_a_time_is_given_in_one_way_only() -> None:
    refusal = refused(event_time=NOW, timestamp="2026-11-20T10:00:00Z")
    assert (refusal.field, refusal.remedy) == ("timestamp", "send one of them")


def test_a_time_out_of_bounds_is_told_by_the_field_it_came_in() -> None:
    assert refused(event_time=NOW * 1000).field == "event_time"
    assert refused(event_time=NOW // 1000).field == "event_time"
    assert refused(timestamp="1999-01-01T00:00:00Z").field == "timestamp"
    assert refused(timestamp="9999-12-31T23:59:59-23:59").code == "too_far_ahead"


def test_two_calendar_years_are_let_in_whatever_leap_days_they_hold() -> None:
    day_ms = 86_400_000
    assert 731 * day_ms == AGE_MS_MAX
    assert day_ms == AHEAD_MS_MAX


def test_time_may_be_two_years_back_and_a_day_ahead_but_no_more() -> None:
    assert admitted(event_time=NOW - AGE_MS_MAX).event.event_time == NOW - AGE_MS_MAX
    assert admitted(event_time=NOW + AHEAD_MS_MAX).event.event_time == NOW + AHEAD_MS_MAX
    assert refused(event_time=NOW - AGE_MS_MAX - 1).code == "too_old"
    assert refused(event_time=NOW + AHEAD_MS_MAX + 1).code == "too_far_ahead"


def nested(levels: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(levels - 1):
        data = {"x": data}
    return data


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"a": float("nan")}, "finite"),
        ({"a": float("inf")}, "finite"),
        ({"a": 2**63}, "64 bits"),
        ({"a": -(2**63) - 1}, "64 bits"),
        ({"a": [{"b": 2**64}]}, "64 bits"),
        ({"a": "x\x00"}, "NUL"),
        ({"a\x00": 1}, "NUL"),
        ({"a": ["\ud800"]}, "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        (nested(33), "deeper"),
        (nested(5_000), "deeper"),
    ],
)
def test_values_that_no_store_can_keep_are_refused_with_their_place(
    data: dict[str, Any], word: str
) -> None:
    refusal = refused(event_data=data)
    assert refusal.field.startswith("event_data")
    assert word in refusal.reason


def test_the_32nd_level_is_the_last_one_and_event_data_is_the_first() -> None:
    assert admitted(event_data=nested(32)).event.event_data.count(b"{") == 32
    assert refused(event_data={"a": [nested(31)]}).field.startswith("event_data.a[0].x")


def test_the_place_of_a_fault_is_told_in_a_bounded_form() -> None:
    assert refused(event_data={"a": [0, {"b\n": 2**64}]}).field == "event_data.a[1].b\\n"
    deep: dict[str, Any] = {"x" * 500: 1}
    for _ in range(40):
        deep = {"y" * 500: deep}
    assert len(refused(event_data=deep).field) < 300


def test_values_on_the_edge_are_kept() -> None:
    data = {"max": 2**63 - 1, "min": -(2**63), "text": "\\u0000 is only text", "deep": nested(31)}
    assert admitted(event_data=data).event.event_data


@pytest.mark.parametrize("value", [[], "x", 5, True])
def test_event_data_is_an_object(value: Any) -> None:
    assert refused(event_data=value).field == "event_data"


def test_event_data_has_32_kib_at_most() -> None:
    fits = {"a": "x" * (32_768 - len('{"a":""}'))}
    assert len(admitted(event_data=fits).event.event_data) == 32_768
    assert refused(event_data={"a": fits["a"] + "x"}).code == "too_large"


def test_a_known_key_of_the_wrong_type_is_kept_ignored_and_counted() -> None:
    made = admitted(event_data={"success": "yes", "industry": 5, "success_score": True})
    assert set(made.wrong_type_keys) == {"success", "industry", "success_score"}
    assert b'"success":"yes"' in made.event.event_data
    assert (made.event.facts.success, made.event.facts.industry) == (None, None)


def test_the_score_is_clipped_to_0_and_10() -> None:
    assert admitted(event_data={"success_score": 12}).event.facts.success_score == 10.0
    assert admitted(event_data={"success_score": -1}).event.facts.success_score == 0.0


def test_the_body_hash_tells_bodies_apart_and_ignores_the_order_of_keys() -> None:
    one = admitted(event_data={"a": 1, "b": 2}).event.body_hash
    assert one == admitted(event_data={"b": 2, "a": 1}).event.body_hash
    assert one != admitted(event_data={"a": 1, "b": 3}).event.body_hash
    assert one != admitted(event_data={"a": 1, "b": 2}, user_id="u").event.body_hash


def test_copies_without_a_timestamp_have_one_hash_though_received_at_different_times() -> None:
    raw = {"event_id": "e-1", "session_id": "s-1", "event_type": "view"}
    first = admit(raw, client_id="c", received_at=NOW, new_id=str).event
    again = admit(raw, client_id="c", received_at=NOW + 9_000, new_id=str).event
    assert first.body_hash == again.body_hash
    assert first.precedence < again.precedence


@pytest.mark.parametrize("value", ["a\u00a0b", "\U0001f469\u200d\U0001f52c", "a b|c>d"])
def test_text_that_is_not_a_control_character_is_kept(value: str) -> None:
    event = admitted(session_id=value, user_id=value, event_type=value).event
    assert (event.session_id, event.user_id, event.event_type) == (value, value, value)


def test_an_event_type_that_grows_in_nfc_is_measured_after_it() -> None:
    grows = "\u0958"  # becomes two characters
    assert admitted(event_type=grows * 25).event.event_type != grows * 25
    assert refused(event_type=grows * 26).field == "event_type"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = ["event_id", "session_id", "user_id", "event_type", "event_data", "timestamp", "x"]


@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_an_event_is_either_refused_by_name_or_survives_the_log(fields: dict[str, Any]) -> None:
    raw = {"session_id": "s", "event_type": "view", **fields}
    try:
        made = admit(raw, client_id="c", received_at=NOW, new_id=lambda: "made")
    except RejectedEvent as error:
        refusal = error
    else:
        assert decode(encode(made.event)) == made.event
        return
    assert refusal.field
    assert refusal.reason
    assert refusal.remedy


@given(json_values.filter(lambda value: type(value) is dict))
def test_the_quick_check_of_data_never_passes_what_the_slow_one_refuses(data: Any) -> None:
    try:
        body = canonical_json(data)
    except ValueError:
        return
    if is_plain(data) and b"\\u0000" not in body:
        assert find_fault(data) is None


@pytest.mark.parametrize("raw", [None, [], "x", 5])
def test_an_event_is_an_object(raw: Any) -> None:
    with pytest.raises(RejectedEvent):
        admit(raw, client_id="c", received_at=NOW, new_id=str)
