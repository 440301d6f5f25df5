"""What a client of the stand-in is told, and what keeps the process from starting.

ClickHouseError         answered to the client as ClickHouse would: code, text, HTTP status
CannotRun
├── FolderInUse         another process owns the data folder: stop it, or choose another
├── FolderUnsuitable    the engine cannot keep its data there
├── AccountUnset        no password is set for the writer's account
└── EngineFailed        the engine does not start on this data
"""

from __future__ import annotations

import re

from infra.errors import CannotRun
from infra.local.errors import PortBusy

__all__ = [
    "AccountUnset",
    "ClickHouseError",
    "EngineFailed",
    "FolderInUse",
    "FolderUnsuitable",
    "PortBusy",
    "engine_error",
]

_BAD_REQUEST = {
    *(6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168),
    *(223, 321, 376, 427, 441, 675, 676),
}
_NOT_FOUND = {46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511}
_STATUS = {
    48: 501,
    76: 503,
    159: 408,
    192: 403,
    193: 403,
    194: 401,
    209: 503,
    229: 413,
    381: 411,
    439: 503,
    497: 403,
    512: 403,
    516: 403,
    779: 415,
}

_ENGINE_TEXT = re.compile(
    r"Code: (?P<code>\d+)\. DB::Exception: (?P<said>.*?)\s*\((?P<name>[A-Z0-9_]+)\)"
    r"(?: \(version [^)]*\))?\.?\s*$",
    re.DOTALL,
)
_WRAPPED = re.compile(r"Code: \d+\. DB::Exception: ")
_WRAPPED_END = re.compile(r" \([A-Z0-9_]+\) \(version [^)]*\)\.?$")
_OTHER = (1001, "STD_EXCEPTION")


class ClickHouseError(Exception):
    """A failed request; `str()` is the text of the answer's body, as ClickHouse prints it."""

    def __init__(self, code: int, name: str, said: str, *, status: int | None = None) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {said.rstrip()} ({name})")
        self.code = code
        self.name = name
        self.status = http_status(code) if status is None else status


def http_status(code: int) -> int:
    """The status a ClickHouse server gives an exception code."""
    if code in _BAD_REQUEST:
        return 400
    return 404 if code in _NOT_FOUND else _STATUS.get(code, 500)


def engine_error(text: str, user: str) -> ClickHouseError:
    """What the engine said, without its repetitions, addressed to the account's name."""
    match = _ENGINE_TEXT.match(text)
    if match is None:
        return ClickHouseError(*_OTHER, text.strip() or "The engine failed without a word")
    said = match["said"]
    while _WRAPPED.match(said):
        said = _WRAPPED_END.sub("", _WRAPPED.sub("", said, count=1))
    # The engine knows one user only.
    said = re.sub(r"\Adefault: ", lambda _match: f"{user}: ", said)
    return ClickHouseError(int(match["code"]), match["name"], said)


class FolderInUse(CannotRun):
    """Two engines on one folder would destroy it."""


class FolderUnsuitable(CannotRun):
    """The folder cannot be made, written, or named to the engine."""


class AccountUnset(CannotRun):
    """An account without a password would let anybody on this machine write."""


class EngineFailed(CannotRun):
    """The engine refuses to start; its own words are in the message."""
