"""Hash, embedding, confidence, totals and the window message."""

from __future__ import annotations

import json
import unicodedata
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_jobs.patterns import embedding
from stream_jobs.patterns.accumulator import WindowAccumulator
from stream_jobs.patterns.confidence import confidence, lift, success_rate, wilson_interval
from stream_jobs.patterns.embedding import embed, embed_query, features, shared_features
from stream_jobs.patterns.pattern_hash import pattern_hash
from stream_jobs.patterns.totals import Delta, difference
from stream_jobs.patterns.window_result import WindowResult, result_of
from tests.support.builders import DAY_MS, window_event

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
paths = st.lists(names, min_size=1, max_size=3).map(tuple)


def test_the_hash_of_a_pattern_ignores_the_spelling_of_equal_text() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert pattern_hash("x", "y", (composed,)) == pattern_hash("x", "y", (decomposed,))


def test_paths_with_separators_in_their_names_do_not_collide() -> None:
    assert pattern_hash("x", "y", ("a>b",)) != pattern_hash("x", "y", ("a", "b"))


@given(names, names, paths)
def test_embeddings_have_length_one_and_depend_on_meaning_only(
    industry: str, campaign_type: str, path: tuple[str, ...]
) -> None:
    vector = embed(industry, campaign_type, path)
    assert vector.shape == (512,)
    assert vector.dtype == np.float32
    assert float(np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(vector, embed(industry, campaign_type, path))


ASKED = ("media", "mobile", ("view", "bookmark"))
NEAREST_FIRST = [
    ASKED,
    ("media", "desktop", ("view", "bookmark")),  # half of another context
    ("media", "mobile", ("view", "like")),  # the same context, half of another path
    ("retail", "desktop", ("view", "bookmark")),  # wholly another context
    ("media", "mobile", ("order", "pay")),  # wholly another path
    ("retail", "desktop", ("view", "like")),  # only the first step is shared
    ("retail", "desktop", ("order", "pay")),  # nothing is shared
]


def test_a_wholly_different_context_is_nearer_than_a_wholly_different_path() -> None:
    """The order that the weights are made for; equality of meaning is always nearest."""
    asked = embed_query(*ASKED)
    nearness = [float(asked @ embed(*pattern)) for pattern in NEAREST_FIRST]
    assert nearness == sorted(nearness, reverse=True)
    assert nearness[0] == pytest.approx(1.0)
    assert len({round(value, 3) for value in nearness}) == len(nearness)


def test_the_order_of_steps_matters() -> None:
    forward, back = (embed("m", "c", path) for path in (("a", "b"), ("b", "a")))
    assert 0.2 < float(forward @ back) < 0.9


@given(st.none() | names, st.none() | names, st.none() | paths)
def test_no_question_has_an_all_zero_vector(
    industry: str | None, campaign_type: str | None, path: tuple[str, ...] | None
) -> None:
    if (industry, campaign_type, path) != (None, None, None):
        vector = embed_query(industry, campaign_type, path)
        assert float(np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-5)


def test_features_that_cancel_each_other_still_have_a_direction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedding, "_slot", lambda name: (7, 1.0 if "industry" in name else -1.0))
    vector = embed_query("a", "b")
    assert float(np.linalg.norm(vector)) == 1.0


@given(names, names, paths)
def test_equal_meanings_have_equal_vectors_and_hashes_however_spelled(
    industry: str, campaign_type: str, path: tuple[str, ...]
) -> None:
    def spelled(form: Literal["NFC", "NFD"]) -> tuple[str, str, tuple[str, ...]]:
        industry_, campaign_, *steps = (
            unicodedata.normalize(form, text) for text in (industry, campaign_type, *path)
        )
        return industry_, campaign_, tuple(steps)

    assert pattern_hash(*spelled("NFC")) == pattern_hash(*spelled("NFD"))
    assert np.array_equal(embed(*spelled("NFC")), embed(*spelled("NFD")))


def test_a_question_without_any_part_is_refused() -> None:
    with pytest.raises(ValueError, match="needs"):
        embed_query()


def test_an_explanation_lists_what_matched_and_what_did_not() -> None:
    matched, missing = shared_features(
        features("media", None, ("view",)), features("media", "mobile", ("like",))
    )
    assert matched == ["industry=media"]
    assert "step=view" in missing


def test_confidence_is_one_half_when_a_pattern_equals_its_context() -> None:
    assert confidence(100, 20_000_000, 100, 20_000_000) == 0.5


def test_confidence_grows_with_the_number_of_trials() -> None:
    few = confidence(10, 4_000_000, 10_000, 2_000_000_000)
    many = confidence(1_000, 400_000_000, 10_000, 2_000_000_000)
    assert 0.5 < few < many <= 1.0


@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(0, 10**6), st.floats(0, 1))
def test_confidence_is_a_probability(trials: int, rate: float, base: int, base_rate: float) -> None:
    value = confidence(trials, round(trials * rate * 1e6), base, round(base * base_rate * 1e6))
    assert 0.0 <= value <= 1.0


def test_confidence_agrees_with_sampling_the_two_posteriors() -> None:
    rng = np.random.default_rng(1)
    pattern = rng.beta(30 + 0.5, 70 + 0.5, 400_000)
    context = rng.beta(200 + 0.5, 800 + 0.5, 400_000)
    sampled = float((pattern > context).mean())
    assert confidence(100, 30_000_000, 1_000, 200_000_000) == pytest.approx(sampled, abs=0.01)


def test_the_prior_is_that_of_jeffreys() -> None:
    """Worked by hand: Beta(2.5, 0.5) against Beta(1.5, 2.5)."""
    mean, base_mean = 2.5 / 3, 1.5 / 4
    spread = (2.5 * 0.5 / (9 * 4) + 1.5 * 2.5 / (16 * 5)) ** 0.5
    by_hand = NormalDist().cdf((mean - base_mean) / spread)
    assert confidence(2, 2_000_000, 3, 1_000_000) == round(by_hand, 4)


def test_the_wilson_interval_holds_the_rate_and_known_values() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(10, 0) == (0.0, 0.2775)
    low, high = wilson_interval(100, 30_000_000)
    assert (low, high) == (0.2189, 0.3958)


def test_rates_and_lift_of_nothing_are_told_as_such() -> None:
    assert success_rate(0, 0) == 0.0
    assert lift(10, 5_000_000, 10, 0) is None
    assert lift(10, 5_000_000, 100, 25_000_000) == 2.0


def test_a_newer_result_changes_only_what_differs() -> None:
    old = result_of(("c", "s", DAY_MS), WindowAccumulator([window_event("e-1")]), engine="x")
    new = result_of(
        ("c", "s", DAY_MS),
        WindowAccumulator(
            [window_event("e-1"), window_event("e-2", at_ms=DAY_MS + 9, event_type="a.accepted")]
        ),
        engine="x",
    )
    changes = {
        key.path: delta for key, delta in difference(old.observations, new.observations).items()
    }
    assert changes == {
        None: Delta(0, 1_000_000),
        ("view",): Delta(0, 1_000_000),
        ("a.accepted",): Delta(1, 0),
        ("view", "a.accepted"): Delta(1, 0),
    }
    assert difference(new.observations, new.observations) == {}


def test_a_window_message_survives_the_wire() -> None:
    made = result_of(
        ("c", 's"|\u00e9', DAY_MS),
        WindowAccumulator([window_event()]),
        engine="flink",
        generation=2,
    )
    assert WindowResult.decode(made.encode()) == made
    assert made.version == (1, 2, 1)


def message(**changes: Any) -> bytes:
    good = result_of(("c", "s", DAY_MS), WindowAccumulator([window_event()]), engine="x")
    return json.dumps({**json.loads(good.encode()), **changes}).encode()


def test_a_window_without_events_has_a_message_too() -> None:
    made = result_of(("c", "s", DAY_MS), WindowAccumulator(), engine="late-repair", generation=1)
    assert WindowResult.decode(made.encode()) == made
    assert (made.observations, made.revision) == ((), 0)


def test_newer_is_the_higher_version_then_generation_then_revision() -> None:
    versions = [(1, 0, 9), (1, 1, 2), (1, 1, 3), (2, 0, 0)]
    decoded = [
        WindowResult.decode(message(algorithm_version=a, generation=g, revision=r)).version
        for a, g, r in versions
    ]
    assert decoded == sorted(versions)


def test_text_may_be_sent_with_escapes() -> None:
    assert WindowResult.decode(message(session_id="caf\u00e9")).session_id == "caf\u00e9"


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"[]",
        b"{}",
        b'{"window_start":1}',
        b"\xff",
        b"[" * 100_000,
        message(client_id=""),
        message(session_id="s" * 101),
        message(session_id="a\x00b"),
        message(industry="\ud800"),
        message(engine=None),
        message(window_start=DAY_MS + 1),
        message(window_start=-300_000),
        message(window_start=2**62 - 2**62 % 300_000),
        message(revision=-1),
        message(revision=2**31),
        message(generation=True),
        message(algorithm_version=0),
        message(observations=None),
        message(observations=[[None]]),
        message(observations=[[None, 1_000_001]]),
        message(observations=[[None, 0.5]]),
        message(observations=[[[], 1]]),
        message(observations=[[["a", 5], 1]]),
        message(observations=[[["a", "b", "c", "d"], 1]]),
        message(observations=["ab"]),
        message(observations=[[["nul\x00"], 1]]),
    ],
)
def test_a_malformed_window_message_is_refused(raw: bytes | None) -> None:
    with pytest.raises(ValueError, match=r".+"):
        WindowResult.decode(raw)
