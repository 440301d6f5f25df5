"""The message of one window on `session-windows`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ingestion.events.admission import SESSION_ID_CHARS_MAX
from ingestion.events.canonical import canonical_json
from ingestion.events.codec import CLIENT_ID_CHARS_MAX, TIME_MS_MAX
from ingestion.events.facts import LABEL_CHARS_MAX
from ingestion.events.values import control_in, text_is_whole
from stream_jobs.patterns.accumulator import WindowAccumulator
from stream_jobs.patterns.detect import (
    ALGORITHM_VERSION,
    PATH_STEPS_MAX,
    UNKNOWN,
    Observation,
    Path,
    detect,
)
from stream_jobs.patterns.signals import DEFAULT_SIGNALS, PPM, SignalTable
from stream_jobs.patterns.window import WINDOW_SIZE_MS

Version = tuple[int, int, int]
WindowKey = tuple[str, str, int]
Loads = Callable[[bytes], Any]

_INT32_MAX = 2**31 - 1
_TEXT_CHARS_MAX = {
    "client_id": CLIENT_ID_CHARS_MAX,
    "session_id": SESSION_ID_CHARS_MAX,
    "engine": 50,
    "industry": LABEL_CHARS_MAX,
    "campaign_type": LABEL_CHARS_MAX,
}
_LOWEST = {"algorithm_version": 1, "generation": 0, "revision": 0}
_NOT_AN_OBSERVATION = "an observation is not [path or null, success in ppm]"


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
        """The record's key; client ids hold no bar, so it tells all sessions apart."""
        return f"{self.client_id}|{self.session_id}".encode()

    def encode(self) -> bytes:
        """The record's value, canonical JSON."""
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
    def decode(cls, raw: bytes | None, loads: Loads = json.loads) -> WindowResult:
        """Inverse of `encode`; `loads` may be a faster JSON parser that raises ValueError.

        Raises:
            ValueError: not a window message; says what is wrong.
        """
        if raw is None:
            raise ValueError("the record has no value")
        try:
            fields = loads(raw)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if type(fields) is not dict:
            raise ValueError("not a JSON object")
        try:
            made = _from_fields(cls, fields)
        except KeyError as error:
            raise ValueError(f"field {error.args[0]} is missing") from None
        if b"\\u" in raw:  # without an escape there is no text that stores cannot keep
            _check_texts(made)
        return made


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


def observations_to_wire(observations: Sequence[Observation]) -> list[tuple[Path | None, int]]:
    """[[path or null, success in ppm], …] as JSON; the context is told once, beside it."""
    return [(path, success_ppm) for _industry, _campaign_type, path, success_ppm in observations]


def observations_from_wire(
    industry: str, campaign_type: str, wire: Sequence[Sequence[Any]]
) -> tuple[Observation, ...]:
    """Inverse of `observations_to_wire`, from decoded JSON.

    Raises:
        ValueError: an entry is not [path or null, success in ppm].
    """
    observations = []
    try:
        for path, success_ppm in wire:
            if type(success_ppm) is not int or not 0 <= success_ppm <= PPM:
                raise ValueError(_NOT_AN_OBSERVATION)
            steps = None
            if path is not None:
                if type(path) is not list or not 0 < len(path) <= PATH_STEPS_MAX:
                    raise ValueError(_NOT_AN_OBSERVATION)
                "".join(path)  # a quick check that every step is text
                steps = tuple(path)
            observations.append(Observation(industry, campaign_type, steps, success_ppm))
    except TypeError:
        raise ValueError(_NOT_AN_OBSERVATION) from None
    return tuple(observations)


def _from_fields(cls: type[WindowResult], fields: dict[str, Any]) -> WindowResult:
    for name, chars_max in _TEXT_CHARS_MAX.items():
        text = fields[name]
        if type(text) is not str or not 0 < len(text) <= chars_max:
            raise ValueError(f"{name} is not text of 1-{chars_max} characters")
    for name, lowest in _LOWEST.items():
        number = fields[name]
        if type(number) is not int or not lowest <= number <= _INT32_MAX:
            raise ValueError(f"{name} is not a count")
    start = fields["window_start"]
    if type(start) is not int or start % WINDOW_SIZE_MS or not 0 <= start <= TIME_MS_MAX:
        raise ValueError("window_start is not the start of a window in ms")
    return cls(
        fields["client_id"],
        fields["session_id"],
        start,
        fields["algorithm_version"],
        fields["generation"],
        fields["revision"],
        fields["engine"],
        observations_from_wire(fields["industry"], fields["campaign_type"], fields["observations"]),
    )


def _check_texts(result: WindowResult) -> None:
    texts = [result.client_id, result.session_id, result.engine, *result.context]
    for observation in result.observations:
        texts.extend(observation.path or ())
    if any(control_in(text) or not text_is_whole(text) for text in texts):
        raise ValueError("a text holds a control character or half a character")
