"""What stops a writer for good; everything else is retried or becomes a dead letter.

CannotRun
├── LogRestarted       the log begins again below the stored position: another cluster, or wiped
└── BatchRefused       Postgres refuses a batch, yet no record of it: the tables disagree
"""

from __future__ import annotations

from infra.errors import CannotRun


class LogRestarted(CannotRun):
    """Going on would skip the records of the new log as if they were stored already."""


class BatchRefused(CannotRun):
    """Dropping records to get on would hide a damaged store."""
