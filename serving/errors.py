"""What can go wrong with a question, sorted by what the caller can do.

HttpError (infra.http)
├── 400 wrong_value, malformed_json   mend the named field, then ask again
├── 404 pattern_not_found             there is no such pattern for this caller
└── 503 unavailable                   the store is away or too much is asked at once: ask again
"""

from __future__ import annotations

from infra.http.errors import HttpError, unavailable

RETRY_AFTER_S = 1


def wrong_value(field: str, reason: str, remedy: str) -> HttpError:
    """400 that names the field, what is wrong with it, and what to send instead."""
    message = f"{field} {reason}." if field else f"The body {reason}."
    return HttpError(400, "wrong_value", message, f"{remedy}.", more={"field": field})


def malformed_json(reason: str) -> HttpError:
    return HttpError(
        400, "malformed_json", f"The body is not JSON: {reason}.", "Send one JSON object in UTF-8."
    )


def pattern_not_found() -> HttpError:
    """The same for an unknown, a not detected and a foreign pattern: nobody learns which."""
    return HttpError(
        404,
        "pattern_not_found",
        "There is no such pattern for this API key.",
        "Take hashes from `POST /v1/patterns/match`; a pattern can also have lost its evidence.",
    )


def store_away() -> HttpError:
    return unavailable(
        "The pattern store is away at the moment.",
        f"Ask again in {RETRY_AFTER_S} s; nothing was changed.",
        retry_after_s=RETRY_AFTER_S,
        degraded=["postgres"],
    )


def overloaded() -> HttpError:
    return unavailable(
        "Too many questions are being answered at the moment.",
        f"Ask again in {RETRY_AFTER_S} s.",
        retry_after_s=RETRY_AFTER_S,
    )
