"""From raw window messages to what the pattern writer has to store. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from unicodedata import is_normalized

from infra.kafka.consumer import ConsumedRecord, PartitionKey
from ingestion.events.canonical import canonical_json
from ingestion.events.dead_letter import DeadLetter
from storage.postgres.offsets import PartitionCounts, Position
from storage.postgres.partitions import Coverage
from storage.postgres.window_events import Window
from storage.postgres.window_store import WindowRow
from storage.writers.letters import letter_of
from stream_jobs.patterns.detect import ALGORITHM_VERSION, PATH_STEPS_MAX, Path
from stream_jobs.patterns.window import window_end
from stream_jobs.patterns.window_result import WindowResult, observations_to_wire

_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """The newest message of a window in the batch: what it says, as a row, and as it lay."""

    result: WindowResult
    row: WindowRow
    record: ConsumedRecord


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """A batch, sorted out. Of several messages about one window the newest is the candidate.

    `counts` holds records, dead letters, and as duplicates the messages that lost within the
    batch; whether a candidate is newer than what is stored is the store's to tell.
    """

    before: dict[PartitionKey, Position]
    after: dict[PartitionKey, Position]
    candidates: dict[Window, Candidate] = field(default_factory=dict)
    counts: dict[PartitionKey, PartitionCounts] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)

    def without(self, refused: Mapping[Window, DeadLetter]) -> WindowBatch:
        """The same batch with these candidates made dead letters."""
        counts = {key: replace(count) for key, count in self.counts.items()}
        for letter in refused.values():
            counts[letter.topic, letter.partition].dead_letters += 1
        candidates = {w: c for w, c in self.candidates.items() if w not in refused}
        letters = [*self.letters, *refused.values()]
        return WindowBatch(self.before, self.after, candidates, counts, letters)


def prepare(
    records: Sequence[ConsumedRecord],
    positions: Mapping[PartitionKey, Position],
    *,
    coverage: Coverage,
    at_ms: int,
) -> WindowBatch:
    """Decode, sort out what nobody can use, and keep the newest message of each window."""
    touched = sorted({(record.topic, record.partition) for record in records})
    batch = WindowBatch({key: positions.get(key, Position()) for key in touched}, {})
    batch.counts.update({key: PartitionCounts() for key in touched})
    next_offsets: dict[PartitionKey, int] = {}
    newest_end = {key: at.watermark_ms for key, at in batch.before.items()}
    for record in records:
        key = (record.topic, record.partition)
        next_offsets[key] = record.offset + 1
        count = batch.counts[key]
        count.records += 1
        try:
            result = WindowResult.decode(record.value)
            candidate = Candidate(result, row_of(result), record)
            reason, detail = _unusable(result, record.value or b"", coverage)
        except Exception as error:  # whatever a record provokes is that record's fault
            reason, detail = "malformed_window", f"{type(error).__name__}: {error}"
        if reason:
            batch.letters.append(letter_of(record, reason, detail, at_ms=at_ms))
            count.dead_letters += 1
            continue
        end = window_end(result.window_start)
        newest_end[key] = max(newest_end[key] or end, end)
        present = batch.candidates.get(result.window)
        if present is None:
            batch.candidates[result.window] = candidate
            continue
        loser = record
        if result.version > present.result.version:
            loser = present.record
            batch.candidates[result.window] = candidate
        batch.counts[loser.topic, loser.partition].duplicates += 1
    batch.after.update(
        {key: Position(at, newest_end[key]) for key, at in sorted(next_offsets.items())}
    )
    return batch


def row_of(result: WindowResult) -> WindowRow:
    """The row to stage."""
    industry, campaign_type = result.context
    return WindowRow(
        result.window_start,
        result.algorithm_version,
        result.generation,
        result.revision,
        result.client_id,
        result.session_id,
        result.engine,
        industry,
        campaign_type,
        canonical_json(observations_to_wire(result.observations)),
    )


def _unusable(result: WindowResult, raw: bytes, coverage: Coverage) -> tuple[str, str]:
    """(reason, detail) for a message that decodes and still cannot be counted; else empty."""
    if result.algorithm_version != ALGORITHM_VERSION:
        return "unknown_algorithm", f"version {result.algorithm_version}, not {ALGORITHM_VERSION}"
    if max(result.generation, result.revision) > _INT32_MAX:
        return "malformed_window", "generation or revision is out of range"
    if not coverage[0] <= result.window_start < coverage[1]:
        return "out_of_range", f"window_start {result.window_start} is outside the months kept"
    paths = [observation.path for observation in result.observations]
    if len(set(paths)) != len(paths) or max(map(_length, paths), default=0) > PATH_STEPS_MAX:
        return "malformed_window", "a path is too long or occurs twice"
    if not raw.isascii() or b"\\u" in raw:
        # Two texts that normalise to one would be one pattern to the hash and two to us.
        texts = [step for path in paths for step in path or ()]
        if not all(is_normalized("NFC", text) for text in (*texts, *result.context)):
            return "malformed_window", "a text is not in Unicode form NFC"
    return "", ""


def _length(path: Path | None) -> int:
    return 0 if path is None else len(path)
