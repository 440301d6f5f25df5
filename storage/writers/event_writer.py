"""Event writer, core: one batch of the log into Postgres, in one transaction.

In it: events, identities, dead letters, the outbox, the ledger and the positions in the log. A
batch is stored whole or not at all; stored twice it changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from infra.clock import Clock
from infra.kafka.consumer import ConsumedRecord, PartitionKey
from infra.kafka.producer import Record
from infra.topics import LATE_EVENTS, LEARNING_EVENTS
from ingestion.events.canonical import canonical_json
from ingestion.events.dead_letter import DeadLetter
from storage.postgres import dead_letters, event_store, offsets, outbox, partitions
from storage.postgres.errors import RowRefused
from storage.postgres.event_store import Claims, StoredCopy
from storage.postgres.offsets import PartitionCounts, Position
from storage.postgres.pool import Connection, transaction
from storage.postgres.window_events import Window
from storage.writers.batch_loop import Stored
from storage.writers.bisection import refused_rows
from storage.writers.errors import BatchRefused
from storage.writers.event_batch import EventBatch, Identity, prepare, rows_of
from storage.writers.identity import Copy, Resolution, best_of, resolve
from storage.writers.letters import letter_of, to_publish

GROUP = "event-writer"
_PARTITIONS_EVERY_S = 24 * 3600.0
_PARTITIONS_RETRY_S = 60.0


@dataclass(slots=True)
class _Effects:
    """What follows from the identities that were claimed."""

    counts: dict[PartitionKey, PartitionCounts]
    letters: list[DeadLetter]
    late: list[Copy] = field(default_factory=list)
    raised: dict[Window, Copy] = field(default_factory=dict)


class EventWriter:
    """Stores batches through a connection that its caller opens, closes and replaces."""

    group = GROUP
    topic = LEARNING_EVENTS.name

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._partitions_due_s = clock.monotonic()
        self._coverage = (0, 0)

    def open(self, connection: Connection) -> None:
        """Prepare a fresh connection."""
        event_store.open_staging(connection)
        self._manage_partitions(connection)

    def store_batch(
        self,
        connection: Connection,
        records: Sequence[ConsumedRecord],
        positions: Mapping[PartitionKey, Position],
    ) -> Stored:
        """Store records that follow `positions`; commits.

        Raises:
            OffsetsMoved: another process stored them. PostgresAway: nothing is known to be stored.
            BatchRefused: the tables contradict each other.
        """
        at_ms = self._clock.now_ms()
        batch = prepare(records, positions, coverage=self._coverage, at_ms=at_ms)
        raw_at = {(record.partition, record.offset): record for record in records}
        while True:
            try:
                return self._write(connection, batch, raw_at)
            except RowRefused as error:
                refused = self._refused(connection, batch, raw_at)
                if not refused:
                    raise _disagreement(error) from error
                batch = batch.without(refused)

    def between_batches(self, connection: Connection, *, caught_up: bool) -> None:
        """Make the coming months in time."""
        del caught_up
        if self._clock.monotonic() >= self._partitions_due_s:
            self._manage_partitions(connection)

    def _manage_partitions(self, connection: Connection) -> None:
        self._partitions_due_s = self._clock.monotonic() + _PARTITIONS_RETRY_S
        partitions.manage(connection)
        self._coverage = partitions.coverage(connection)
        self._partitions_due_s = self._clock.monotonic() + _PARTITIONS_EVERY_S

    def _write(
        self,
        connection: Connection,
        batch: EventBatch,
        raw_at: Mapping[tuple[int, int], ConsumedRecord],
    ) -> Stored:
        groups = list(batch.copies.items())
        rows = rows_of(best_of(copies) if len(copies) > 1 else copies[0] for _, copies in groups)
        with transaction(connection):
            offsets.claim(connection, GROUP, batch.before)
            event_store.stage(connection, rows)
            claims = event_store.claim_identities(connection, rows)
            effects = self._effects(connection, batch, groups, claims, raw_at)
            event_store.insert_staged(connection, without=list(claims.outranked))
            repairs = self._repairs(connection, groups, claims, effects)
            dead_letters.add(connection, effects.letters)
            outbox.add(
                connection, GROUP, repairs + [to_publish(letter) for letter in effects.letters]
            )
            steps = {key: (batch.after[key], effects.counts[key]) for key in batch.after}
            offsets.advance(connection, GROUP, steps)
        return Stored(batch.after, effects.counts)

    def _effects(
        self,
        connection: Connection,
        batch: EventBatch,
        groups: Sequence[tuple[Identity, list[Copy]]],
        claims: Claims,
        raw_at: Mapping[tuple[int, int], ConsumedRecord],
    ) -> _Effects:
        """Fates and consequences; takes away what lost its place."""
        counts = {key: replace(count) for key, count in batch.counts.items()}
        effects = _Effects(counts, list(batch.letters))
        for ord_, (identity, copies) in enumerate(groups):
            stored = claims.replaced.get(ord_) or claims.outranked.get(ord_)
            if stored is None and len(copies) == 1:
                copy = copies[0]
                count = counts[self.topic, copy.partition]
                count.inserted += 1
                if copy.late:
                    count.late += 1
                    effects.late.append(copy)
                continue
            resolution = resolve(stored, copies)
            taken_away = b""
            if ord_ in claims.replaced and stored is not None:
                taken_away = event_store.take_away(connection, stored.event_time, *identity)
            for copy, fate in zip(copies, resolution.fates, strict=True):
                count = counts[self.topic, copy.partition]
                setattr(count, fate, getattr(count, fate) + 1)
                if fate == "inserted" and copy.late:
                    count.late += 1
                    effects.late.append(copy)
            effects.raised.update(resolution.raised)
            effects.letters += self._conflict_letters(identity, resolution, taken_away, raw_at)
        return effects

    def _conflict_letters(
        self,
        identity: Identity,
        resolution: Resolution,
        taken_away: bytes,
        raw_at: Mapping[tuple[int, int], ConsumedRecord],
    ) -> Iterable[DeadLetter]:
        client_id, event_id = identity
        for loser in resolution.losers:
            if isinstance(loser, StoredCopy):
                record = ConsumedRecord(
                    self.topic, loser.partition, loser.offset, None, taken_away, 0
                )
            else:
                record = raw_at[loser.partition, loser.offset]
            yield letter_of(
                record,
                "conflict",
                "another body with this event_id has the smaller body hash and is the stored one",
                at_ms=self._clock.now_ms(),
                client_id=client_id,
                event_id=event_id,
            )

    def _repairs(
        self,
        connection: Connection,
        groups: Sequence[tuple[Identity, list[Copy]]],
        claims: Claims,
        effects: _Effects,
    ) -> list[Record]:
        """What the late repair has to look at. Takes the last lock of the batch."""
        if effects.raised:
            event_store.raise_generations(connection, list(effects.raised))
        else:
            event_store.generations_unchanged(connection)
        repairs = [_repair(copy.window, copy, "late") for copy in effects.late]
        repairs += [_repair(window, copy, "replaced") for window, copy in effects.raised.items()]
        done = {copy.window for copy in effects.late} | set(effects.raised)
        for ord_ in sorted(event_store.staged_in_raised_windows(connection)):
            copy = best_of(groups[ord_][1])
            if ord_ not in claims.outranked and copy.window not in done:
                repairs.append(_repair(copy.window, copy, "generation"))
        return repairs

    def _refused(
        self,
        connection: Connection,
        batch: EventBatch,
        raw_at: Mapping[tuple[int, int], ConsumedRecord],
    ) -> dict[tuple[int, int], DeadLetter]:
        """Dead letters of the copies that Postgres refuses on their own."""

        def probe(copies: Sequence[Copy]) -> str | None:
            """Whether Postgres takes these rows."""
            try:
                with transaction(connection, force_rollback=True):
                    rows = rows_of(copies)
                    event_store.stage(connection, rows)
                    claims = event_store.claim_identities(connection, rows)
                    for ord_, stored in claims.replaced.items():
                        event_store.take_away(connection, stored.event_time, *copies[ord_].identity)
                    event_store.insert_staged(connection, without=list(claims.outranked))
            except RowRefused as error:
                return error.message
            return None

        # One copy of each identity, as in the batch itself: the next best is tried next time.
        candidates = [best_of(copies) for copies in batch.copies.values()]
        return {
            (copy.partition, copy.offset): letter_of(
                raw_at[copy.partition, copy.offset],
                "refused_by_database",
                said,
                at_ms=self._clock.now_ms(),
                client_id=copy.record.client_id,
                event_id=copy.record.event_id,
            )
            for copy, said in refused_rows(candidates, probe)
        }


def _repair(window: Window, copy: Copy, reason: str) -> Record:
    client_id, session_id, start = window
    body = {
        "client_id": client_id,
        "session_id": session_id,
        "window_start": start,
        "event_id": copy.record.event_id,
        "event_time": copy.record.event_time,
        "reason": reason,
    }
    return Record(LATE_EVENTS.name, session_id.encode(), canonical_json(body))


def _disagreement(error: RowRefused) -> BatchRefused:
    return BatchRefused(
        f"Postgres refuses a batch but none of its records: {error.message}",
        remedy="The tables contradict each other: restore them, or empty them and read the log"
        " again.",
    )
