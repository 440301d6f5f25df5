"""Requests by route template and status, and how long they took."""

from __future__ import annotations

from infra.clock import Clock
from infra.metrics import HTTP_REQUESTS, HTTP_SECONDS


class RouteMetrics:
    """Label lookups done once per (route, status), not once per request."""

    def __init__(self, process: str, clock: Clock) -> None:
        self._process = process
        self.now = clock.monotonic
        self._counters = {}  # type: ignore[var-annotated]
        self._histograms = {}  # type: ignore[var-annotated]

    def answered(self, route: str, status: int, started_s: float) -> None:
        counter = self._counters.get((route, status))
        if counter is None:
            counter = HTTP_REQUESTS.labels(self._process, route, str(status))
            self._counters[(route, status)] = counter
        histogram = self._histograms.get(route)
        if histogram is None:
            histogram = self._histograms[route] = HTTP_SECONDS.labels(self._process, route)
        counter.inc()
        histogram.observe(self.now() - started_s)
