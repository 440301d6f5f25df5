"""Send lines of events to the gateway: packed, repeated when it is away, refusals told by line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from infra.clock import Clock
from infra.errors import RejectedInput, RetryLater

BATCH_EVENTS = 500
_BATCH_BYTES_MAX = 4 * 1024 * 1024
_TIMEOUT_S = 30.0
_ATTEMPTS = 6
_PAUSE_S_MAX = 10.0
# A packed level of 1 costs little beside the network and saves most of the bytes.
_GZIP_LEVEL = 1
# Answers that say that the body as a whole cannot be taken; one line may be the reason.
_SPLIT_ON = ("malformed_json", "body_too_large", "too_many_events")
_LISTED_MAX = 1000


class Line(NamedTuple):
    """One event as written in the file; `number` counts from 1."""

    number: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that the gateway did not take."""

    line: int
    event_id: str | None
    field: str
    reason: str
    remedy: str


@dataclass(slots=True)
class Report:
    """What became of the events so far; of many rejections, the first are kept in full."""

    accepted: int = 0
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return self.accepted + self.rejected

    def reject(self, rejection: Rejection) -> None:
        self.rejected += 1
        if len(self.rejections) < _LISTED_MAX:
            self.rejections.append(rejection)


class KeyRefused(RejectedInput):
    """The gateway does not know the key, or the key may not send."""

    exit_code = 2


class GatewayAway(RetryLater):
    """The gateway cannot be reached or cannot store."""


def read_lines(stream: Iterable[bytes]) -> Iterator[Line]:
    """Non-empty lines, numbered as an editor numbers them."""
    for number, text in enumerate(stream, start=1):
        if stripped := text.strip():
            yield Line(number, stripped)


def batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """At most BATCH_EVENTS lines and about 4 MiB at a time."""
    batch: list[Line] = []
    size_bytes = 0
    for line in lines:
        if batch and (len(batch) >= BATCH_EVENTS or size_bytes + len(line.text) > _BATCH_BYTES_MAX):
            yield batch
            batch, size_bytes = [], 0
        batch.append(line)
        size_bytes += len(line.text)
    if batch:
        yield batch


def with_id(text: bytes, new_id: Callable[[], str]) -> bytes:
    """Give an event without an id one of ours, so that sending it again stays harmless."""
    if b'"event_id"' in text or not text.startswith(b"{"):
        return text
    rest = text[1:].lstrip()
    comma = b"" if rest.startswith(b"}") else b","
    return b'{"event_id":"' + new_id().encode() + b'"' + comma + rest


class EventSender:
    """One connection to the gateway."""

    def __init__(self, url: str, key: str, clock: Clock, new_id: Callable[[], str]) -> None:
        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.netloc, timeout=_TIMEOUT_S)
        self._url = url
        self._path = f"{parts.path.rstrip('/')}/v1/events?partial=true"
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
        }
        self._clock = clock
        self._new_id = new_id

    def send(self, lines: Iterable[Line], advanced: Callable[[Report], None]) -> Report:
        """Send everything; `advanced` is called after every batch.

        Raises:
            GatewayAway: it stayed away; what was accepted before is told.
            KeyRefused: the key is not good for sending.
        """
        report = Report()
        try:
            for batch in batches(lines):
                named = [Line(line.number, with_id(line.text, self._new_id)) for line in batch]
                self._send_batch(named, report)
                advanced(report)
        except GatewayAway as error:
            raise GatewayAway(
                f"{error.message} {report.accepted} events were accepted before.",
                remedy=error.remedy,
            ) from error
        finally:
            self._connection.close()
        return report

    def _send_batch(self, batch: list[Line], report: Report) -> None:
        status, answer = self._post(b"\n".join(line.text for line in batch))
        if status == 200:
            report.accepted += int(answer["accepted"])
            for fate in answer.get("results", []):
                if fate["result"] == "refused":
                    report.reject(_rejection(batch[fate["index"]], fate))
        elif answer.get("code") == "invalid_events":
            explained = {error["index"]: error for error in answer.get("errors", [])}
            for index, line in enumerate(batch):
                report.reject(_rejection(line, explained.get(index, {})))
        elif answer.get("code") in _SPLIT_ON and len(batch) > 1:
            # One line spoils the body for all: halves find it in a few requests.
            middle = len(batch) // 2
            self._send_batch(batch[:middle], report)
            self._send_batch(batch[middle:], report)
        elif answer.get("code") in _SPLIT_ON:
            told = {"reason": answer.get("message", ""), "remedy": answer.get("detail", "")}
            report.reject(_rejection(batch[0], told))
        else:
            raise _as_ours(self._url, status, answer)

    def _post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """(status, answer), after as many attempts as it takes while the gateway says "later"."""
        packed = gzip.compress(body, _GZIP_LEVEL)
        trouble = ""
        for attempt in range(_ATTEMPTS):
            pause_s = min(0.5 * 2**attempt, _PAUSE_S_MAX)
            try:
                self._connection.request("POST", self._path, packed, self._headers)
                response = self._connection.getresponse()
                answer = _decoded(response.read())
            except (OSError, HTTPException) as error:
                self._connection.close()
                trouble = f"{type(error).__name__}: {error}" if str(error) else repr(error)
            else:
                if response.status not in (429, 503):
                    return response.status, answer
                trouble = str(answer.get("message", response.status)).rstrip(".")
                pause_s = _retry_after_s(response.headers.get("Retry-After"), pause_s)
            if attempt + 1 < _ATTEMPTS:
                self._clock.sleep(pause_s)
        raise GatewayAway(
            f"The gateway at {self._url} takes no events ({trouble}).",
            remedy="Check it with `sagestream status`; sending the same file again is safe for"
            " events that carry an event_id.",
        )


def _rejection(line: Line, told: dict[str, Any]) -> Rejection:
    return Rejection(
        line.number,
        told.get("event_id"),
        str(told.get("field", "")),
        str(told.get("reason", "refused; the gateway explained only the first ones")),
        str(told.get("remedy", "")),
    )


def _as_ours(url: str, status: int, answer: dict[str, Any]) -> RejectedInput | RetryLater:
    message = str(answer.get("message") or f"The gateway at {url} answered {status}.")
    if status in (401, 403):
        return KeyRefused(message, remedy=str(answer.get("detail", "")))
    return GatewayAway(
        f"{message.rstrip('.')} (status {status}).",
        remedy=f"Check that {url} is a Sagestream gateway, and read `sagestream logs gateway`.",
    )


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _retry_after_s(value: str | None, otherwise: float) -> float:
    return min(float(value), _PAUSE_S_MAX) if value and value.isdigit() else otherwise
