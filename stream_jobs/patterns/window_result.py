"""The message of one window on `session-windows`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ingestion.events.canonical import canonical_json
from stream_jobs.patterns.accumulator import WindowAccumulator
from stream_jobs.patterns.detect import ALGORITHM_VERSION, UNKNOWN, Observation, detect
from stream_jobs.patterns.signals import DEFAULT_SIGNALS, SignalTable
from stream_jobs.patterns.window import WINDOW_SIZE_MS

Version = tuple[int, int, int]
WindowKey = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class WindowResult:
    """Observations of one window, with what makes one result newer than another."""

    client_id: str
    session_id: str
    window_start: int
    algorithm_version: int
    generation: int
    revision: int
    engine: str
    observations: tuple[Observation, ...]

    @property
    def window(self) -> WindowKey:
        return (self.client_id, self.session_id, self.window_start)

    @property
    def version(self) -> Version:
        """Newer is larger: (algorithm version, generation, revision)."""
        return (self.algorithm_version, self.generation, self.revision)

    @property
    def context(self) -> tuple[str, str]:
        """(industry, campaign type); both `unknown` for a window without events."""
        if not self.observations:
            return (UNKNOWN, UNKNOWN)
        return (self.observations[0].industry, self.observations[0].campaign_type)

    def key(self) -> bytes:
        return f"{self.client_id}|{self.session_id}".encode()

    def encode(self) -> bytes:
        industry, campaign_type = self.context
        return canonical_json(
            {
                "algorithm_version": self.algorithm_version,
                "campaign_type": campaign_type,
                "client_id": self.client_id,
                "engine": self.engine,
                "generation": self.generation,
                "industry": industry,
                "observations": observations_to_wire(self.observations),
                "revision": self.revision,
                "session_id": self.session_id,
                "window_start": self.window_start,
            }
        )

    @classmethod
    def decode(cls, raw: bytes | None) -> WindowResult:
        """Inverse of `encode`.

        Raises:
            ValueError: not a window message; says what is wrong.
        """
        if raw is None:
            raise ValueError("the record has no value")
        try:
            fields = json.loads(raw)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if type(fields) is not dict:
            raise ValueError("not a JSON object")
        try:
            return _from_fields(cls, fields)
        except KeyError as error:
            raise ValueError(f"field {error.args[0]} is missing") from None
        except TypeError as error:
            raise ValueError(f"a field has the wrong type: {error}") from None


def result_of(
    window: WindowKey,
    accumulator: WindowAccumulator,
    *,
    engine: str,
    generation: int = 0,
    signals: SignalTable = DEFAULT_SIGNALS,
) -> WindowResult:
    """Detect, and wrap the observations for the topic."""
    client_id, session_id, start = window
    return WindowResult(
        client_id,
        session_id,
        start,
        ALGORITHM_VERSION,
        generation,
        accumulator.revision,
        engine,
        detect(accumulator, signals),
    )


def observations_to_wire(observations: Sequence[Observation]) -> list[list[Any]]:
    """[[path or null, success in ppm], …]; the context is told once, beside it."""
    return [[o.path and list(o.path), o.success_ppm] for o in observations]


def observations_from_wire(
    industry: str, campaign_type: str, wire: Sequence[Sequence[Any]]
) -> tuple[Observation, ...]:
    """Inverse of `observations_to_wire`.

    Raises:
        ValueError: an entry is not [path or null, success in ppm].
    """
    observations = []
    for path, success_ppm in wire:
        well_formed = path is None or (
            type(path) is list and path and all(type(step) is str for step in path)
        )
        if not well_formed or type(success_ppm) is not int or not 0 <= success_ppm <= 1_000_000:
            raise ValueError("an observation is not [path or null, success in ppm]")
        observations.append(
            Observation(industry, campaign_type, None if path is None else tuple(path), success_ppm)
        )
    return tuple(observations)


def _from_fields(cls: type[WindowResult], fields: dict[str, Any]) -> WindowResult:
    texts = [fields[n] for n in ("client_id", "session_id", "engine", "industry", "campaign_type")]
    numbers = [fields[n] for n in ("window_start", "algorithm_version", "generation", "revision")]
    if any(type(text) is not str for text in texts) or any(type(n) is not int for n in numbers):
        raise ValueError("a field has the wrong type")
    client_id, session_id, engine, industry, campaign_type = texts
    start, algorithm_version, generation, revision = numbers
    if start % WINDOW_SIZE_MS or min(generation, revision) < 0:
        raise ValueError("window_start, generation or revision is out of range")
    return cls(
        client_id,
        session_id,
        start,
        algorithm_version,
        generation,
        revision,
        engine,
        observations_from_wire(industry, campaign_type, fields["observations"]),
    )
