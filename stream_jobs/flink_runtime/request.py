"""What the job is submitted with: one JSON object, read from standard input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from stream_jobs.flink_runtime.errors import WrongRequest

_TYPE_NAMES = {str: "text", int: "a whole number", dict: "an object"}


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One submission; times in ms, folders as URIs that every machine of the cluster can read."""

    rest_url: str
    kafka_bootstrap: str
    parallelism: int
    checkpoint_interval_ms: int
    checkpoint_dir: str
    python_executable: str
    source_root: str
    restore_path: str | None = None
    events_topic: str = "learning-events"
    events_partitions: int = 32
    windows_topic: str = "session-windows"
    consumer_group: str = "flink-windows"
    job_name: str = "sagestream-windows"
    success_signals: Mapping[str, float] = field(default_factory=dict)
    # Flink options that replace ours, for measurements.
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def rest_address(self) -> tuple[str, int]:
        """(host, port) of the cluster's REST interface; empty and 0 where the URL has none."""
        parts = urlsplit(self.rest_url)
        try:
            return parts.hostname or "", parts.port or 0
        except ValueError:
            return "", 0


def parse(raw: bytes | str) -> JobRequest:
    """The request in these bytes.

    Raises:
        WrongRequest: names the field that is missing, unknown or wrong.
    """
    try:
        given = json.loads(raw)
    except ValueError as error:
        raise WrongRequest(f"The request on standard input is not JSON: {error}.") from None
    if not isinstance(given, dict):
        raise WrongRequest("The request on standard input is not a JSON object.")
    known = {f.name: f for f in fields(JobRequest)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise WrongRequest(f"The request has an unknown field {unknown[0]}.", remedy="Remove it.")
    kinds: dict[str, type] = dict.fromkeys(known, str)
    kinds |= dict.fromkeys(("parallelism", "checkpoint_interval_ms", "events_partitions"), int)
    kinds |= dict.fromkeys(("success_signals", "options"), dict)
    for name, value in given.items():
        if type(value) is not kinds[name] and not (name == "restore_path" and value is None):
            raise WrongRequest(f"Field {name} of the request must be {_TYPE_NAMES[kinds[name]]}.")
    return _checked(given)


def _checked(given: dict[str, Any]) -> JobRequest:
    try:
        request = JobRequest(**given)
    except TypeError as error:
        missing = str(error).rpartition(":")[2].strip()
        raise WrongRequest(f"The request lacks {missing}.") from None
    for name in ("parallelism", "checkpoint_interval_ms", "events_partitions"):
        if getattr(request, name) < 1:
            raise WrongRequest(f"Field {name} of the request must be at least 1.")
    for name in ("kafka_bootstrap", "python_executable", "source_root", "events_topic"):
        if not getattr(request, name):
            raise WrongRequest(f"Field {name} of the request is empty.")
    if not all(request.rest_address):
        raise WrongRequest(
            "Field rest_url of the request names no host and port.",
            remedy="Give it as http://host:port.",
        )
    if "://" not in request.checkpoint_dir:
        raise WrongRequest(
            "Field checkpoint_dir of the request is not a URI.",
            remedy="Give it as file:///folder, s3://bucket/folder or the like.",
        )
    for name, success in request.success_signals.items():
        if type(success) not in (int, float) or not 0 <= success <= 1:
            raise WrongRequest(f"Success signal {name!r} must lie between 0 and 1.")
    return request
