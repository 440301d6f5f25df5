"""`POST /v1/patterns/match` and `GET /v1/patterns/{pattern_hash}`."""

from __future__ import annotations

from collections.abc import Sequence

from infra.clock import Clock
from infra.http import Request, Response, Route, json_response
from serving import errors
from serving.answers import MatchAnswer, PatternAnswer
from serving.questions import MatchRequest, checked_hash, understand
from serving.read_path import ReadPath
from serving.render import match_answer, pattern_answer


def routes(read_path: ReadPath, clock: Clock) -> Sequence[Route]:
    """Both need a key with the scope `read`."""

    async def match(request: Request) -> Response:
        question = understand(request.body)
        found = await read_path.match(question, request.tenant)
        return json_response(match_answer(question, found, clock.now_ms()))

    async def one(request: Request) -> Response:
        pattern_hash = checked_hash(request.params["pattern_hash"])
        found = await read_path.pattern(pattern_hash, request.tenant)
        if found is None:
            raise errors.pattern_not_found()
        return json_response(pattern_answer(found, clock.now_ms()))

    return (
        Route(
            method="POST",
            path="/v1/patterns/match",
            handler=match,
            scope="read",
            summary="Patterns that fit a context or a path",
            description="Ranks the patterns nearest to the question, each with its evidence. "
            "A pattern is visible to the clients it was learned from, and to everyone once "
            "enough different clients contributed to it.",
            request=MatchRequest,
            response=MatchAnswer,
        ),
        Route(
            method="GET",
            path="/v1/patterns/{pattern_hash}",
            handler=one,
            scope="read",
            summary="One pattern",
            description="`pattern_hash` is 64 lower-case hexadecimal digits, as a match gives it.",
            response=PatternAnswer,
        ),
    )
