"""Send interactions through the public Segment SDK, one unmodified client per tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infra.cli.demo.dataset import Interaction
from infra.errors import CannotRun, RetryLater

_UPLOAD_SIZE = 100
_UPLOAD_INTERVAL_S = 0.01
# A year is played in seconds. Every client is flushed after so many events of all tenants, else
# the busiest one would fall months of event time behind the others, and most events were late.
_FLUSH_EVERY = 300


class SegmentSender:
    """Counts what the SDK reports as failed; `flush` returns when every upload is answered."""

    def __init__(self, gateway_url: str, write_keys: Mapping[str, str]) -> None:
        try:
            from segment.analytics.client import Client
        except ImportError:
            raise CannotRun(
                "The Segment SDK is not installed.",
                remedy="Install the demonstration's extra: pip install 'sagestream[demo]'.",
            ) from None
        self._failures: list[str] = []
        self._clients: dict[str, Any] = {
            tenant: Client(
                write_key=key,
                host=gateway_url,
                upload_size=_UPLOAD_SIZE,
                upload_interval=_UPLOAD_INTERVAL_S,
                max_queue_size=10 * _FLUSH_EVERY,
                on_error=self._failed,
                gzip=False,
                max_retries=10,
            )
            for tenant, key in write_keys.items()
        }

    def send(self, interactions: Sequence[Interaction], advanced: Callable[[int], None]) -> int:
        """Send everything; returns how many were acknowledged.

        Raises:
            RetryLater: the gateway refused or lost some; names the first reason.
        """
        for start in range(0, len(interactions), _FLUSH_EVERY):
            part = interactions[start : start + _FLUSH_EVERY]
            for interaction in part:
                self._track(interaction)
            for client in self._clients.values():
                client.flush()
            advanced(len(part))
        if self._failures:
            raise RetryLater(
                f"The gateway did not take {len(self._failures)} uploads: {self._failures[0]}.",
                remedy="Look at the gateway's log, then run the demonstration again.",
            )
        return len(interactions)

    def close(self) -> None:
        for client in self._clients.values():
            client.shutdown()

    def _track(self, interaction: Interaction) -> None:
        client = self._clients[interaction.tenant]
        client.track(
            user_id=interaction.user_id,
            event=interaction.event_type,
            properties=interaction.properties(),
            context={"sessionId": interaction.session_id},
            timestamp=interaction.timestamp,
            message_id=interaction.event_id,
        )

    def _failed(self, error: Exception, items: Sequence[object]) -> None:
        self._failures.append(f"{error} ({len(items)} events)")
