"""Hash, embedding, confidence, totals and the window message."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_a_question_is_nearest_to_the_pattern_that_says_the_same() -> None:
    asked = embed_query("media", "mobile", ("view", "bookmark"))
    same = embed("media", "mobile", ("view", "bookmark"))
    other_path = embed("media", "mobile", ("view", "like"))
    other_industry = embed("retail", "desktop", ("order", "pay"))
    assert asked @ same > asked @ other_path > asked @ other_industry


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
    ],
)
def test_a_malformed_window_message_is_refused(raw: bytes | None) -> None:
    with pytest.raises(ValueError, match=r".+"):
        WindowResult.decode(raw)
