"""The algorithm on a year of real events, against figures computed before this code existed.

Times in the log are whole seconds, and a comment is logged in the same second as the follow it
causes (593 times). Ties are ordered by event id, so the figures hold for ids that begin with the
event type: then a comment stands before the follow that it causes.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections import defaultdict
from pathlib import Path

import pytest

from stream_jobs.patterns.accumulator import WindowAccumulator, WindowEvent
from stream_jobs.patterns.detect import Path as StepPath
from stream_jobs.patterns.detect import detect
from stream_jobs.patterns.window import window_start

LOG = Path(__file__).parents[4] / "infra/cli/demo/data/deskdrop_users_interactions.csv.gz"
EVENT_TYPES = {
    "VIEW": "view",
    "LIKE": "like",
    "BOOKMARK": "bookmark",
    "FOLLOW": "follow",
    "COMMENT CREATED": "comment",
}
Totals = dict[StepPath | None, tuple[int, int]]


@pytest.fixture(scope="module")
def windows() -> dict[tuple[str, int], WindowAccumulator]:
    found: defaultdict[tuple[str, int], WindowAccumulator] = defaultdict(WindowAccumulator)
    with gzip.open(LOG, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            body_hash = hashlib.sha256("\x1f".join(row.values()).encode()).hexdigest()[:32]
            kind = EVENT_TYPES[row["eventType"]]
            at_ms = int(row["timestamp"]) * 1000
            found[row["sessionId"], window_start(at_ms)].add(
                WindowEvent(
                    f"{kind}-{body_hash}", body_hash, at_ms, kind, None, None, kind != "view", None
                )
            )
    return dict(found)


@pytest.fixture(scope="module")
def totals(windows: dict[tuple[str, int], WindowAccumulator]) -> Totals:
    sums: defaultdict[StepPath | None, list[int]] = defaultdict(lambda: [0, 0])
    for window in windows.values():
        for observation in detect(window):
            sums[observation.path][0] += 1
            sums[observation.path][1] += observation.success_ppm
    return {path: (trials, success) for path, (trials, success) in sums.items()}


def test_the_eleven_exact_copies_are_one_event_each(
    windows: dict[tuple[str, int], WindowAccumulator],
) -> None:
    assert sum(window.revision for window in windows.values()) == 72_312 - 11


def test_every_window_is_one_trial_of_its_context(totals: Totals) -> None:
    assert totals[None][0] == 48_871


@pytest.mark.parametrize(
    ("path", "rate"),
    [
        (None, 0.168),
        (("view",), 0.095),
        (("view", "bookmark"), 0.293),
        (("comment",), 0.666),
    ],
)
def test_rates_are_those_of_the_design(totals: Totals, path: StepPath | None, rate: float) -> None:
    trials, success_ppm = totals[path]
    assert round(success_ppm / 1e6 / trials, 3) == rate
