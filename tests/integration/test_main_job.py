"""From an SDK to an answered match, on the whole platform, with faults.

The tests own the log's clock: their events lie some hours ahead (the gateway allows a day), so no
window of theirs has fired yet, and heartbeats written by the test close them at once.

    now ........... slot 1 ........... slot 2 ........... slot 3
                    [ events of a test ) ^ tell_time: windows close
"""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from ingestion.events.admission import admit
from ingestion.events.event import Event
from stream_jobs.patterns.window import WINDOW_SIZE_MS, window_start
from tests.support.builders import random_log
from tests.support.naive_patterns import naive_results
from tests.support.platform import COMMAND, Platform, wait_for

pytestmark = pytest.mark.integration

HOUR_MS = 3_600_000
_slots = itertools.count(1)


@pytest.fixture(scope="session")
def first_slot_ms() -> int:
    return window_start(int(time.time() * 1000)) + HOUR_MS


@pytest.fixture
def slot_ms(first_slot_ms: int) -> int:
    """The start of a stretch of event time that no other test has used or passed."""
    return first_slot_ms + next(_slots) * HOUR_MS


def raw(event: Event) -> dict[str, Any]:
    """The event as a sender would write it."""
    return {
        "event_id": event.event_id,
        "session_id": event.session_id,
        "event_type": event.event_type,
        "event_time": event.event_time,
        "event_data": json.loads(event.event_data),
    }


def log_of(client_id: str, seed: int, start_ms: int, events: int) -> list[Event]:
    return random_log(
        seed,
        events=events,
        sessions=400,
        clients=(client_id,),
        span_ms=1_200_000,
        start_ms=start_ms,
        copies=0.05,
    )


def send(platform: Platform, key: str, log: Sequence[Event]) -> None:
    for start in range(0, len(log), 500):
        platform.post_events(key, [raw(event) for event in log[start : start + 500]])


def expected_of(log: Sequence[Event]) -> dict[tuple[str, int], Any]:
    return {(session, start): found for (_c, session, start), found in naive_results(log).items()}


def wait_for_windows(platform: Platform, client_id: str, log: Sequence[Event]) -> None:
    expected = expected_of(log)
    wait_for(
        f"all {len(expected)} windows of {client_id} to equal the oracle's",
        lambda: platform.windows_of(client_id) == expected,
        timeout_s=90,
    )


def test_events_from_the_segment_sdk_become_an_explained_match(
    platform: Platform, slot_ms: int
) -> None:
    from datetime import UTC, datetime

    from segment.analytics.client import Client

    key = platform.key("sdk-tenant")
    failures: list[object] = []
    client = Client(
        write_key=key,
        host=platform.settings.gateway_url,
        on_error=lambda error, _items: failures.append(error),
    )
    for session in range(80):
        steps = ["view", "save", "goal.achieved"] if session % 2 else ["view", "leave"]
        for number, step in enumerate(steps):
            client.track(
                f"user-{session}",
                step,
                {"industry": "sdk-retail", "campaign_type": "email"},
                context={"sessionId": f"sdk-{session}"},
                timestamp=datetime.fromtimestamp((slot_ms + number * 1000) / 1000, tz=UTC),
            )
    client.flush()
    client.shutdown()
    assert failures == []
    platform.tell_time(slot_ms + 2 * WINDOW_SIZE_MS)

    def answer() -> dict[str, Any] | None:
        found = httpx.post(
            f"{platform.settings.serving_url}/v1/patterns/match",
            json={
                "context": {"industry": "sdk-retail", "campaign_type": "email"},
                "path": ["view", "save"],
            },
            headers={"Authorization": f"Bearer {key}"},
            timeout=10,
        )
        assert found.status_code == 200, found.text
        body: dict[str, Any] = found.json()
        seen = [match["sample_size"] for match in body["matches"]]
        return body if seen[:1] == [40] else None

    best = wait_for("a match", answer, timeout_s=60)["matches"][0]
    assert best["path"] == ["view", "save"]
    assert best["success_rate"] == 1.0
    assert best["sample_size"] == 40
    assert best["why"]["sentence"]
    engines = platform.query(
        "SELECT DISTINCT engine FROM session_windows WHERE client_id = 'sdk-tenant'"
    )
    assert engines == [("flink",)]
    other = httpx.get(
        f"{platform.settings.serving_url}/v1/patterns/{best['pattern_hash']}",
        headers={"Authorization": f"Bearer {platform.key('stranger')}"},
    )
    assert other.status_code == 404, "one client's pattern is not shared with others"


def test_the_same_log_sent_twice_changes_no_stored_value(platform: Platform, slot_ms: int) -> None:
    log = log_of("twice", 11, slot_ms, 3_000)
    key = platform.key("twice")
    send(platform, key, log)
    platform.tell_time(slot_ms + HOUR_MS // 2)
    wait_for_windows(platform, "twice", log)
    platform.settle()
    before = json.loads(platform.command("state-hash", "--json"))
    send(platform, key, log)
    platform.settle()
    assert json.loads(platform.command("state-hash", "--json")) == before


def test_kill_9_of_task_manager_and_pattern_writer_changes_nothing(
    platform: Platform, slot_ms: int
) -> None:
    """The broken run equals the oracle, and equals an unbroken run of the same log."""
    broken, unbroken = log_of("broken", 21, slot_ms, 6_000), log_of("unbroken", 21, slot_ms, 6_000)
    key = platform.key("broken")
    send(platform, platform.key("unbroken"), unbroken)
    send(platform, key, broken[:2_000])
    platform.kill("flink-taskmanager")
    send(platform, key, broken[2_000:4_000])
    platform.kill("pattern-writer")
    platform.up()
    send(platform, key, broken[4_000:])
    platform.kill("pattern-writer")
    platform.tell_time(slot_ms + HOUR_MS // 2)
    platform.up()
    wait_for_windows(platform, "broken", broken)
    wait_for_windows(platform, "unbroken", unbroken)
    assert platform.windows_of("broken") == platform.windows_of("unbroken")
    platform.settle()
    totals_match_windows(platform)


def totals_match_windows(platform: Platform) -> None:
    """Totals are exact sums over the windows, after any crash."""
    wrong = platform.query(
        """
        WITH trials AS (
            SELECT w.algorithm_version, w.industry, w.campaign_type, o -> 0 AS path,
                   count(*) AS n, sum((o ->> 1)::bigint) AS ppm
              FROM session_windows w, jsonb_array_elements(w.observations) o
             GROUP BY 1, 2, 3, 4)
        SELECT t.industry, t.path, t.n, p.sample_size
          FROM trials t
          LEFT JOIN success_patterns p
            ON (p.industries[1], p.campaign_type, to_jsonb(p.path))
             = (t.industry, t.campaign_type, t.path)
         WHERE t.path <> 'null'::jsonb
           AND (p.sample_size, p.success_ppm_sum) IS DISTINCT FROM (t.n, t.ppm)
        """
    )
    assert wrong == []


def test_an_event_after_its_window_fired_is_counted_within_ten_seconds(
    platform: Platform, slot_ms: int
) -> None:
    key = platform.key("late")
    first = {"event_id": "l-1", "session_id": "late-1", "event_type": "view", "event_time": slot_ms}
    platform.post_events(key, [first])
    platform.tell_time(slot_ms + 2 * WINDOW_SIZE_MS)
    window = ("late-1", slot_ms)
    wait_for("the window", lambda: window in platform.windows_of("late"))
    platform.post_events(
        key, [{**first, "event_id": "l-2", "event_type": "a.accepted", "event_time": slot_ms + 1}]
    )
    wait_for("the next revision", lambda: platform.windows_of("late")[window][0] == 2, timeout_s=10)


def test_a_burst_after_a_quiet_time_loses_no_window(platform: Platform, slot_ms: int) -> None:
    """Six heartbeats in every partition stand for a quiet minute of the shipped settings."""
    beats = "SELECT min(heartbeats) FROM consumer_offsets WHERE consumer_group = 'event-writer'"
    quiet_from = platform.query(beats)[0][0]
    wait_for(
        "six heartbeats in every partition",
        lambda: platform.query(beats)[0][0] >= quiet_from + 6,
        timeout_s=60,
    )
    log = log_of("burst", 31, slot_ms, 5_000)
    send(platform, platform.key("burst"), log)
    platform.tell_time(slot_ms + HOUR_MS // 2)
    wait_for_windows(platform, "burst", log)
    late = platform.query(
        "SELECT count(*) FROM session_windows WHERE client_id = 'burst' AND engine <> 'flink'"
    )
    assert late == [(0,)], "no event of the burst was late"


POISON = [
    b"not json",
    b"\xff\xfe\x00",
    b"{}",
    b'{"v":1,"event_id":5}',
    b"[" * 5_000,
    None,
    b'{"v":1,"event_id":"x","client_id":"c","session_id":"s","event_type":"t"}',
]


def test_poison_records_go_to_the_dead_letters_and_everything_goes_on(
    platform: Platform, slot_ms: int
) -> None:
    before = platform.query("SELECT count(*) FROM dead_letters")[0][0]
    for value in POISON:
        platform.put_record(value, partition=3)
    wait_for(
        "every poison record to be a dead letter",
        lambda: platform.query("SELECT count(*) FROM dead_letters")[0][0] == before + len(POISON),
    )
    reasons = platform.query(
        "SELECT DISTINCT reason FROM dead_letters WHERE topic = 'learning-events' AND partition = 3"
    )
    assert len(reasons) >= 3
    log = log_of("after-poison", 41, slot_ms, 1_000)
    send(platform, platform.key("after-poison"), log)
    platform.tell_time(slot_ms + HOUR_MS // 2)
    wait_for_windows(platform, "after-poison", log)


def test_the_ledger_balances_in_every_store(platform: Platform) -> None:
    platform.settle()
    sums = platform.query(
        "SELECT sum(records), sum(heartbeats + inserted + duplicates + conflicts + dead_letters)"
        " FROM consumer_offsets WHERE consumer_group = 'event-writer'"
    )[0]
    assert sums[0] == sums[1]
    events = platform.query("SELECT count(*) FROM learning_events")[0][0]
    wait_for(
        "ClickHouse to hold the same events",
        lambda: platform.sql("SELECT count() FROM events") == str(events),
        timeout_s=30,
    )


def test_a_second_up_starts_nothing(platform: Platform) -> None:
    assert json.loads(platform.command("up", "--json"))["started"] == []


def test_events_send_reports_each_refused_line_and_its_number(platform: Platform) -> None:
    lines = [
        json.dumps({"event_id": "cli-1", "session_id": "s", "event_type": "view"}),
        json.dumps({"event_id": "cli-2", "session_id": "s", "event_type": "_reserved"}),
        "{broken",
        json.dumps({"event_id": "cli-3", "session_id": "s", "event_type": "view"}),
    ]
    outcome = subprocess.run(
        [str(COMMAND), "events", "send", "-", "--json"],
        input="\n".join(lines),
        env={**platform.environment, "SAGESTREAM_API_KEY": platform.key("cli")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert outcome.returncode == 1, outcome.stderr
    report = json.loads(outcome.stdout)
    assert {refusal["line"] for refusal in report["rejections"]} == {2, 3}


def test_builders_and_gateway_agree_on_an_event(slot_ms: int) -> None:
    """The oracle's events are what the gateway makes of their raw form."""
    for event in log_of("agree", 51, slot_ms, 50):
        made = admit(
            raw(event), client_id="agree", received_at=event.received_at, new_id=lambda: "none"
        ).event
        assert made == event
