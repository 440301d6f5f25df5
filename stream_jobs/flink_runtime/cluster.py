"""The cluster's REST interface, as far as a submission needs it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from infra.clock import Clock
from stream_jobs.flink_runtime.errors import ClusterAway, JobRefused

_TIMEOUT_S = 10.0
_POLL_S = 0.2
_ENDED = ("FAILED", "CANCELED", "FINISHED", "SUSPENDED")


class Cluster:
    """A Flink cluster that is there already."""

    def __init__(self, rest_url: str, clock: Clock) -> None:
        self._rest_url = rest_url.rstrip("/")
        self._clock = clock

    def slots(self) -> int:
        """Slots in all.

        Raises:
            ClusterAway: no answer.
        """
        return int(self._get("/overview")["slots-total"])

    def wait_until_running(self, job_id: str, timeout_s: float) -> None:
        """Return when every task of the job runs.

        Raises:
            JobRefused: the job ended, or keeps failing; quotes the cause.
            ClusterAway: it was not running in time.
        """
        deadline_s = self._clock.monotonic() + timeout_s
        state = "unknown"
        while self._clock.monotonic() < deadline_s:
            job = self._get(f"/jobs/{job_id}")
            state = str(job["state"])
            tasks = [vertex["status"] for vertex in job["vertices"]]
            if state == "RUNNING" and tasks and all(status == "RUNNING" for status in tasks):
                return
            if state in _ENDED:
                raise JobRefused(f"The job ended as {state}: {self.cause(job_id)}")
            self._clock.sleep(_POLL_S)
        cause = self.cause(job_id)
        if cause:
            raise JobRefused(f"The job does not start: {cause}")
        raise ClusterAway(
            f"The job is still {state} after {timeout_s:.0f} s.",
            remedy="Check that the cluster has free slots, then try again.",
        )

    def cause(self, job_id: str) -> str:
        """The innermost line of the last failure; empty when there was none."""
        history = self._get(f"/jobs/{job_id}/exceptions").get("exceptionHistory", {})
        entries = history.get("entries", [])
        return innermost_cause(entries[0]["stacktrace"]) if entries else ""

    def cancel(self, job_id: str) -> None:
        """Ask for the job's end; its retained checkpoints stay."""
        self._call(f"/jobs/{job_id}?mode=cancel", "PATCH")

    def _get(self, path: str) -> Any:
        return json.loads(self._call(path, "GET"))

    def _call(self, path: str, method: str) -> bytes:
        request = urllib.request.Request(self._rest_url + path, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            raise JobRefused(f"Flink answered {error.code} to {method} {path}.") from error
        except OSError as error:
            raise ClusterAway(
                f"Flink does not answer at {self._rest_url} ({error}).",
                remedy="Start the cluster (`sagestream up`), then try again.",
            ) from error


def innermost_cause(stacktrace: str) -> str:
    """The one line of a Java stack trace that says what went wrong."""
    lines = [line.strip() for line in stacktrace.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    chosen = causes[-1].removeprefix("Caused by: ") if causes else (lines or [""])[0]
    return chosen[:500]
