"""What can go wrong when the window job is submitted.

SagestreamError
├── RetryLater
│   └── ClusterAway         the cluster does not answer, or did not start the job in time
└── CannotRun
    ├── WrongRequest        the request on standard input is incomplete or makes no sense
    └── JobRefused          the cluster or the planner refuses the job; the cause is quoted
"""

from __future__ import annotations

from infra.errors import CannotRun, RetryLater


class ClusterAway(RetryLater):
    """Nothing runs; the same request may succeed later."""


class WrongRequest(CannotRun):
    """Names the field."""


class JobRefused(CannotRun):
    """The same request will fail again until its cause is mended."""
