"""Errors sorted by what the caller can do.

SagestreamError                 what happened, and `remedy`: what to do next
├── RetryLater                  the other side is away or slow: the same call may succeed later
├── RejectedInput               this input will never be accepted: report it, go on with the next
└── CannotRun                   this process cannot go on: stop it, mend the cause, start again
"""

from __future__ import annotations


class SagestreamError(Exception):
    """An expected failure, told in one sentence, with the next step in another."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class RetryLater(SagestreamError):
    """Unavailable now; nothing was half-done."""

    exit_code = 3


class RejectedInput(SagestreamError):
    """The input breaks a rule; sending it again changes nothing."""

    exit_code = 1


class CannotRun(SagestreamError):
    """Configuration, environment or data that this process must not work with."""

    exit_code = 4
