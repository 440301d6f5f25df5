"""Which copy of an event is the stored one, and what that does to its windows."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from ingestion.events.codec import encode
from storage.postgres.event_store import StoredCopy
from storage.writers.identity import Copy, best_of, resolve
from storage.writers.log_record import decode
from stream_jobs.patterns.window import WINDOW_SIZE_MS, window_start
from tests.support.builders import DAY_MS, event

NEXT_WINDOW = DAY_MS + WINDOW_SIZE_MS


def copy_of(at_ms: int = DAY_MS, *, body: str = "a", session: str = "s-1", offset: int = 0) -> Copy:
    """A copy of event e-1; `body` is a hexadecimal digit that its body hash repeats."""
    made = event("e-1", at_ms=at_ms, session_id=session)
    record = decode(encode(made).replace(made.body_hash.encode(), hash_of(body).encode()))
    return Copy(record, 0, offset, late=False)


def stored(at_ms: int = DAY_MS, *, body: str = "a", session: str = "s-1") -> StoredCopy:
    return StoredCopy(hash_of(body), at_ms, session, 7, 77)


def hash_of(body: str) -> str:
    return body * 32


def windows(resolution_raised: tuple[tuple[object, Copy], ...]) -> set[object]:
    return {window for window, _copy in resolution_raised}


def test_the_first_copy_of_an_identity_is_inserted() -> None:
    outcome = resolve(None, [copy_of()])
    assert outcome.fates == ("inserted",)
    assert not outcome.losers
    assert not outcome.raised


def test_an_exact_copy_is_a_duplicate_and_changes_nothing() -> None:
    outcome = resolve(stored(), [copy_of(), copy_of()])
    assert outcome.fates == ("duplicates", "duplicates")
    assert not outcome.losers
    assert not outcome.raised


def test_a_larger_body_loses_and_is_kept_as_a_conflict() -> None:
    loser = copy_of(body="b")
    outcome = resolve(stored(body="a"), [loser])
    assert outcome.fates == ("conflicts",)
    assert outcome.losers == (loser,)
    assert not outcome.raised, "same window: every accumulator makes the same choice"


def test_a_smaller_body_takes_the_place_and_raises_its_window() -> None:
    before = stored(body="b")
    outcome = resolve(before, [copy_of(body="a")])
    assert outcome.fates == ("conflicts",)
    assert outcome.losers == (before,)
    assert windows(outcome.raised) == {("acme", "s-1", DAY_MS)}


def test_a_smaller_body_from_another_window_raises_both_windows() -> None:
    outcome = resolve(stored(body="b"), [copy_of(NEXT_WINDOW, body="a", session="s-2")])
    assert windows(outcome.raised) == {("acme", "s-1", DAY_MS), ("acme", "s-2", NEXT_WINDOW)}


def test_a_loser_in_another_window_raises_that_window_where_an_engine_counted_it() -> None:
    outcome = resolve(stored(body="a"), [copy_of(NEXT_WINDOW, body="b")])
    assert windows(outcome.raised) == {("acme", "s-1", NEXT_WINDOW)}


def test_of_copies_without_a_time_the_earliest_receipt_counts() -> None:
    #        first receipt            a retry, one window later
    #   -----|------------------------|-------------------> event time (= receipt)
    outcome = resolve(stored(NEXT_WINDOW), [copy_of(DAY_MS)])
    assert outcome.fates == ("duplicates",)
    assert not outcome.losers
    assert windows(outcome.raised) == {("acme", "s-1", DAY_MS), ("acme", "s-1", NEXT_WINDOW)}


@given(st.permutations(range(5)), st.integers(0, 2**32))
def test_every_order_of_arrival_ends_with_the_same_copy(order: list[int], seed: int) -> None:
    rng = random.Random(seed)
    copies = [
        copy_of(DAY_MS + rng.choice((0, 1, WINDOW_SIZE_MS)), body=rng.choice("abc"), offset=n)
        for n in range(5)
    ]
    arrived = [copies[index] for index in order]
    winner = best_of(copies).precedence
    assert best_of(arrived).precedence == winner
    fates = resolve(None, arrived).fates
    assert fates[0] == "inserted"
    assert "inserted" not in fates[1:]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), min_size=1, max_size=6))
def test_every_window_that_saw_a_copy_other_than_the_winner_is_raised(
    described: list[tuple[str, int]],
) -> None:
    copies = [copy_of(DAY_MS + n * WINDOW_SIZE_MS, body=body) for body, n in described]
    outcome = resolve(None, copies)
    winner = best_of(copies)
    wrong = {copy.window for copy in copies if copy.window != winner.window}
    assert wrong <= windows(outcome.raised)


def test_one_batch_or_many_leave_the_same_winner() -> None:
    copies = [copy_of(DAY_MS + n, body=body) for n, body in enumerate("cab")]
    for cut in range(len(copies) + 1):
        present: StoredCopy | None = None
        for part in (copies[:cut], copies[cut:]):
            if part:
                best = best_of(part)
                if present is None or best.precedence < (present.body_hash, present.event_time):
                    record = best.record
                    present = StoredCopy(record.body_hash, record.event_time, "s-1", 0, 0)
        assert present is not None
        assert present.body_hash == hash_of("a")


def test_window_of_a_stored_copy_is_that_of_its_own_time() -> None:
    assert window_start(stored(NEXT_WINDOW + 5).event_time) == NEXT_WINDOW
    assert len(list(itertools.chain(resolve(stored(NEXT_WINDOW), [copy_of()]).raised))) == 2
