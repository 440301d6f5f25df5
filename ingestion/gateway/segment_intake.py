"""From a Segment call, or a batch of them, to events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from infra.http import Request, errors
from ingestion.events.errors import MalformedJson, RejectedEvent
from ingestion.events.segment import KINDS, from_segment
from ingestion.gateway.batch import Batch, Intake, Refusal
from ingestion.gateway.fast_json import loads
from ingestion.gateway.intake import malformed, too_many_events


class Call(NamedTuple):
    """One call as sent (any JSON value, if the sender errs) and what kind it says it is."""

    kind: str
    content: Any

    def as_json(self) -> bytes:
        return json.dumps(self.content, separators=(",", ":"), ensure_ascii=False).encode()


def key_in_body(request: Request) -> str | None:
    """The write key inside a body that came without an Authorization header."""
    key = _body(request).get("writeKey")
    return key if type(key) is str else None


def read_calls(request: Request, kind: str, calls_max: int) -> list[Call]:
    """The calls of a request; what a batch says for all of its calls is put into each.

    Raises:
        HttpError: 400 when there is no call to be found, 413 for too many.
    """
    body = _body(request)
    if kind != "batch":
        return [Call(kind, body)]
    calls = body.get("batch")
    if type(calls) is not list:
        raise errors.bad_request(
            "no_batch", "The body has no list `batch`.", 'Send {"batch": [...]}.'
        )
    if len(calls) > calls_max:
        raise too_many_events(len(calls), calls_max)
    context = body.get("context")
    shared = context if type(context) is dict else None
    return [Call(_kind(call), _with_context(call, shared)) for call in calls]


def judge(calls: list[Call], intake: Intake) -> Batch:
    """The batch of the calls, refusals included."""
    batch = Batch()
    for index, call in enumerate(calls):
        if type(call.content) is dict and call.kind not in KINDS:
            refusal = RejectedEvent(
                "type", f"is not one of {', '.join(KINDS)}", "use a call of Segment's API"
            )
            batch.refusals.append(Refusal(index, refusal))
            continue
        raw = call.content
        batch.add(index, from_segment(raw, call.kind) if type(raw) is dict else raw, intake)
    return batch


def _body(request: Request) -> Mapping[str, Any]:
    """The body as an object; decoded once, also when it has to be searched for the key first."""
    if request.memo is None:
        try:
            request.memo = loads(request.body)
        except MalformedJson as error:
            raise malformed(error) from None
    if type(request.memo) is not dict:
        raise errors.bad_request(
            "not_an_object", "The body is not a JSON object.", "Send what a Segment SDK sends."
        )
    return request.memo


def _kind(call: Any) -> str:
    return str(call.get("type")) if type(call) is dict else ""


def _with_context(call: Any, shared: dict[str, Any] | None) -> Any:
    if shared is None or type(call) is not dict:
        return call
    own = call.get("context")
    return {**call, "context": {**shared, **own} if type(own) is dict else shared}
