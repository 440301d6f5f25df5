"""The scalar function that Flink calls once per closed window."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pyflink.table.udf import ScalarFunction

from stream_jobs.flink_runtime.closed_window import RESULT_BYTES_MAX, close
from stream_jobs.patterns.signals import SignalTable

_log = logging.getLogger("sagestream.closed_window")


class CloseWindow(ScalarFunction):  # type: ignore[misc]  # the library has no types
    """(client_id, session_id, lines) → encoded window result, or null when there is none.

    Never raises and never returns more than a message can hold: the job would restart at the
    same window for ever.
    """

    def __init__(self, success_signals: Mapping[str, float]) -> None:
        self._signals = SignalTable(success_signals)

    def eval(
        self, client_id: str, session_id: str, lines: Sequence[str | None] | None
    ) -> bytes | None:
        try:
            encoded = close(client_id, session_id, lines or (), self._signals)
        except Exception:
            _log.exception("window of %r / %r has no result", client_id, session_id)
            return None
        if encoded is not None and len(encoded) > RESULT_BYTES_MAX:
            _log.error(
                "window of %r / %r has no result: its %d bytes fit no message",
                client_id,
                session_id,
                len(encoded),
            )
            return None
        return encoded
