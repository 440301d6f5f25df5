"""Ask the running platform over HTTP, as a service and as an analyst would."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from statistics import quantiles
from typing import Any

from infra.clock import Clock
from infra.errors import RetryLater
from infra.settings import Settings

MATCHES = 300


class Serving:
    """One kept-alive connection to the serving process."""

    def __init__(self, settings: Settings, key: str) -> None:
        self._connection = http.client.HTTPConnection(
            settings.listen_host, settings.serving_port, timeout=10
        )
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def match(self, context: Mapping[str, str], path: Sequence[str], k: int) -> dict[str, Any]:
        """The answer of `POST /v1/patterns/match`; RetryLater when it is not a 200."""
        body = json.dumps({"context": dict(context), "path": list(path), "k": k})
        self._connection.request("POST", "/v1/patterns/match", body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RetryLater(
                f"Serving answered {answer.status}: {text[:200].decode(errors='replace')}",
                remedy="Look at the log of the part serving.",
            )
        found: dict[str, Any] = json.loads(text)
        return found

    def match_p95_ms(
        self, questions: Sequence[tuple[Mapping[str, str], Sequence[str]]], clock: Clock
    ) -> float:
        """95th percentile over MATCHES requests, one after another, as the client sees it."""
        times_ms = []
        for number in range(MATCHES):
            context, path = questions[number % len(questions)]
            began = clock.monotonic()
            self.match(context, path, 5)
            times_ms.append((clock.monotonic() - began) * 1000)
        return round(quantiles(times_ms, n=100)[94], 2)

    def close(self) -> None:
        self._connection.close()
