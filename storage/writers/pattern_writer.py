"""Pattern writer, core: results of windows into totals, with an exactly-once effect.

One transaction a batch: windows that are newer than stored, the difference each makes to the
totals, dead letters, ledger and positions. What is not newer changes nothing, so copies, replays,
restarts and several writers at once all end in the same totals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from infra.clock import Clock
from infra.kafka.consumer import ConsumedRecord, PartitionKey
from infra.settings import Settings
from infra.topics import SESSION_WINDOWS
from ingestion.events.dead_letter import DeadLetter
from storage.postgres import (
    dead_letters,
    offsets,
    outbox,
    partitions,
    pattern_store,
    window_store,
)
from storage.postgres.errors import RowRefused
from storage.postgres.offsets import PartitionCounts, Position
from storage.postgres.pattern_store import ContextDelta, ContributorDelta, PatternDelta
from storage.postgres.pool import Connection, transaction
from storage.postgres.window_events import Window
from storage.writers.batch_loop import Stored
from storage.writers.bisection import refused_rows
from storage.writers.errors import BatchRefused
from storage.writers.letters import letter_of, to_publish
from storage.writers.pattern_refresh import Limits, refresh
from storage.writers.totals_change import TotalsChange, change_of
from storage.writers.window_batch import Candidate, WindowBatch, prepare
from stream_jobs.patterns.detect import ALGORITHM_VERSION
from stream_jobs.patterns.embedding import EMBEDDING_VERSION, embed
from stream_jobs.patterns.pattern_hash import PATTERN_TYPE, pattern_hash
from stream_jobs.patterns.totals import PatternKey

GROUP = "pattern-writer"
_REFRESH_CAUGHT_UP_S = 0.3
_REFRESH_BUSY_S = 5.0
# While batches wait, refreshing takes no more than about this share of the time.
_REFRESH_SHARE_MAX = 0.2
_KNOWN_MAX = 200_000


class PatternWriter:
    """Stores batches through a connection that its caller opens, closes and replaces."""

    group = GROUP
    topic = SESSION_WINDOWS.name

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._coverage = (0, 0)
        self._refreshed_s = clock.monotonic()
        self._busy_wait_s = _REFRESH_BUSY_S
        self._dirty = True
        self._hashes: dict[PatternKey, str] = {}
        self._embedded: set[str] = set()

    def open(self, connection: Connection) -> None:
        """Prepare a fresh connection (opened with `vectors=True`)."""
        window_store.open_staging(connection)
        pattern_store.open_staging(connection)
        partitions.manage(connection)
        self._coverage = partitions.coverage(connection)
        self._embedded.clear()
        self._dirty = True

    def store_batch(
        self,
        connection: Connection,
        records: Sequence[ConsumedRecord],
        positions: Mapping[PartitionKey, Position],
    ) -> Stored:
        """Store records that follow `positions`; commits.

        Raises:
            OffsetsMoved: another process stored them. PostgresAway: nothing is known to be stored.
            BatchRefused, SchemaMismatch: the tables contradict each other.
        """
        at_ms = self._clock.now_ms()
        batch = prepare(records, positions, coverage=self._coverage, at_ms=at_ms)
        while True:
            try:
                return self._write_knowing(connection, batch)
            except RowRefused as error:
                refused = self._refused(connection, batch)
                if not refused:
                    raise BatchRefused(
                        f"Postgres refuses a batch but none of its windows: {error.message}",
                        remedy="Stop the pattern writers and rebuild the totals from"
                        " session_windows.",
                    ) from error
                batch = batch.without(refused)

    def between_batches(self, connection: Connection, *, caught_up: bool) -> None:
        """Refresh what changed: soon when there is nothing else to do, else now and then."""
        began_s = self._clock.monotonic()
        due_s = _REFRESH_CAUGHT_UP_S if caught_up and self._dirty else self._busy_wait_s
        if began_s - self._refreshed_s >= due_s:
            self._dirty = not refresh(connection, self._limits, writer=GROUP)
            self._refreshed_s = self._clock.monotonic()
            took_s = self._refreshed_s - began_s
            self._busy_wait_s = max(_REFRESH_BUSY_S, took_s / _REFRESH_SHARE_MAX)

    def _write_knowing(self, connection: Connection, batch: WindowBatch) -> Stored:
        """`_write`; once more with every embedding if one that we left out was needed."""
        try:
            return self._write(connection, batch)
        except pattern_store.EmbeddingMissing:
            self._embedded.clear()
            return self._write(connection, batch)

    def _write(self, connection: Connection, batch: WindowBatch) -> Stored:
        with transaction(connection):
            offsets.claim(connection, GROUP, batch.before)
            rows = [candidate.row for candidate in batch.candidates.values()]
            taken = window_store.keep_newer(connection, rows)
            change = change_of(
                (batch.candidates[window].result, old) for window, old in taken.items()
            )
            patterns = self._deltas(change)
            if patterns:
                pattern_store.add_patterns(
                    connection,
                    patterns,
                    [
                        ContributorDelta(self._hash(key), client_id, trials)
                        for (key, client_id), trials in change.contributors.items()
                    ],
                    pattern_type=PATTERN_TYPE,
                    algorithm_version=ALGORITHM_VERSION,
                    embedding_version=EMBEDDING_VERSION,
                )
            if change.contexts:
                pattern_store.add_contexts(
                    connection,
                    [
                        ContextDelta(*context, delta.trials, delta.success_ppm)
                        for context, delta in change.contexts.items()
                    ],
                    algorithm_version=ALGORITHM_VERSION,
                )
            counts = _counts(batch, taken)
            dead_letters.add(connection, batch.letters)
            outbox.add(connection, GROUP, [to_publish(letter) for letter in batch.letters])
            steps = {key: (batch.after[key], counts[key]) for key in batch.after}
            offsets.advance(connection, GROUP, steps)
        self._embedded.update(delta.pattern_hash for delta in patterns)
        self._dirty = self._dirty or bool(taken)
        return Stored(batch.after, counts)

    def _deltas(self, change: TotalsChange) -> list[PatternDelta]:
        """Rows to add; an embedding goes along only with patterns we have not met."""
        if len(self._hashes) > _KNOWN_MAX or len(self._embedded) > _KNOWN_MAX:
            self._hashes.clear()
            self._embedded.clear()
        deltas = []
        for key, added in change.patterns.items():
            assert key.path is not None
            hash_ = self._hash(key)
            known = hash_ in self._embedded
            deltas.append(
                PatternDelta(
                    hash_,
                    key.industry,
                    key.campaign_type,
                    list(key.path),
                    added.trials,
                    added.success_ppm,
                    added.first_ms,
                    added.last_ms,
                    None if known else embed(key.industry, key.campaign_type, key.path),
                )
            )
        return deltas

    def _hash(self, key: PatternKey) -> str:
        known = self._hashes.get(key)
        if known is None:
            assert key.path is not None
            known = pattern_hash(key.industry, key.campaign_type, key.path)
            self._hashes[key] = known
        return known

    def _refused(self, connection: Connection, batch: WindowBatch) -> dict[Window, DeadLetter]:
        """Dead letters of the windows that Postgres refuses on their own."""

        def probe(candidates: Sequence[Candidate]) -> str | None:
            """Whether Postgres takes these windows."""
            try:
                with transaction(connection, force_rollback=True):
                    window_store.keep_newer(connection, [candidate.row for candidate in candidates])
            except RowRefused as error:
                return error.message
            return None

        return {
            candidate.result.window: letter_of(
                candidate.record,
                "refused_by_database",
                said,
                at_ms=self._clock.now_ms(),
                client_id=candidate.result.client_id,
            )
            for candidate, said in refused_rows(list(batch.candidates.values()), probe)
        }


def limits_of(settings: Settings) -> Limits:
    """The refresh's limits as set."""
    return Limits(
        confidence_min=settings.detected_confidence_min,
        sample_size_min=settings.detected_sample_size_min,
        patterns_max=settings.refresh_patterns_max,
    )


def _counts(
    batch: WindowBatch, taken: Mapping[Window, object]
) -> dict[PartitionKey, PartitionCounts]:
    """Fates of all records, now that it is known which windows were newer."""
    counts = {key: replace(count) for key, count in batch.counts.items()}
    for window, candidate in batch.candidates.items():
        count = counts[candidate.record.topic, candidate.record.partition]
        if window in taken:
            count.inserted += 1
        else:
            count.duplicates += 1
    return counts
