"""The scalar function that Flink calls once per closed window."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pyflink.table.udf import ScalarFunction

from stream_jobs.flink_runtime.closed_window import close
from stream_jobs.patterns.signals import SignalTable

_log = logging.getLogger("sagestream.closed_window")


class CloseWindow(ScalarFunction):  # type: ignore[misc]  # the library has no types
    """(client_id, session_id, lines) → encoded window result or null."""

    def __init__(self, success_signals: Mapping[str, float]) -> None:
        self._success_signals = dict(success_signals)
        self._signals = SignalTable(self._success_signals)

    def eval(self, client_id: str, session_id: str, lines: Sequence[str] | None) -> bytes | None:
        """Never raises: an exception would restart the job at the same window for ever."""
        try:
            return close(client_id, session_id, lines or (), self._signals)
        except Exception:
            _log.exception("window of %r / %r has no result", client_id, session_id)
            return None
