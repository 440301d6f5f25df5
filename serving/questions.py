"""What may be asked, and how a body becomes a question.

The structs are the contract (the OpenAPI page is made from them); `understand` adds the rules a
schema cannot say and brings text into the form the store holds.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ingestion.events.errors import MalformedJson
from ingestion.events.strict_json import loads_strict
from serving import errors
from stream_jobs.patterns.detect import PATH_STEPS_MAX

K_DEFAULT = 10
K_MAX = 100
STEP_CHARS_MAX = 50
LABEL_CHARS_MAX = 100
PATH_GIVEN_MAX = 500

# Said in the contract; checked in `_plain`, which answers more kindly than a pattern can.
_NO_CONTROL_CHARACTERS = {"pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"}
Label = Annotated[
    str,
    Meta(min_length=1, max_length=LABEL_CHARS_MAX, extra_json_schema=_NO_CONTROL_CHARACTERS),
]
Step = Annotated[
    str, Meta(min_length=1, max_length=STEP_CHARS_MAX, extra_json_schema=_NO_CONTROL_CHARACTERS)
]
Path = Annotated[
    list[Step],
    Meta(
        min_length=1,
        max_length=PATH_GIVEN_MAX,
        description="Event types in the order they happened. Immediate repeats count once, and "
        f"the last {PATH_STEPS_MAX} steps are compared.",
    ),
]
K = Annotated[int, Meta(ge=1, le=K_MAX, description="How many matches at most.")]
Share = Annotated[
    float, Meta(ge=0, le=1, description="Patterns are served from the platform's own limit up.")
]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it happens. What is left out is left open."""

    industry: Label | None = None
    campaign_type: Label | None = None


class Filters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hard limits: a pattern that breaks one is no match, however near it is."""

    min_confidence: Share | None = None
    min_sample_size: Count | None = None
    pattern_type: Literal["session_path"] | None = None
    industry: Label | None = None
    campaign_type: Label | None = None


class MatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Give a context, a path, or both."""

    context: Context = Context()
    path: Path | None = None
    k: K = K_DEFAULT
    filters: Filters = Filters()


def _given(*names: str, kind: str) -> dict[str, Any]:
    """JSON schema of an object in which the field at this place is there and of this kind."""
    schema: dict[str, Any] = {"type": kind}
    for name in reversed(names):
        schema = {"type": "object", "required": [name], "properties": {name: schema}}
    return schema


# What a MatchRequest must hold besides its fields' own rules; part of the contract.
SOMETHING_ASKED = (
    _given("path", kind="array"),
    _given("context", "industry", kind="string"),
    _given("context", "campaign_type", kind="string"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A match request as it is answered: text in NFC, the path as detection would count it."""

    industry: str | None
    campaign_type: str | None
    path: tuple[str, ...] | None
    k: int
    filters: Filters


def understand(body: bytes) -> Question:
    """The question in a request body.

    Raises:
        HttpError: 400 naming the field, the reason and the remedy.
    """
    request = _decoded(body)
    question = Question(
        industry=_label(request.context.industry, "context.industry"),
        campaign_type=_label(request.context.campaign_type, "context.campaign_type"),
        path=None if request.path is None else _path(request.path),
        k=request.k,
        filters=msgspec.structs.replace(
            request.filters,
            industry=_label(request.filters.industry, "filters.industry"),
            campaign_type=_label(request.filters.campaign_type, "filters.campaign_type"),
        ),
    )
    if question.industry is None and question.campaign_type is None and question.path is None:
        raise errors.wrong_value(
            "context",
            "and path are both empty, so there is nothing to compare with",
            "Give context.industry, context.campaign_type or path",
        )
    return question


def checked_hash(text: str) -> str:
    """A pattern hash from an address.

    Raises:
        HttpError: 400 for anything but 64 lower-case hexadecimal digits.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise errors.wrong_value(
            "pattern_hash",
            "is not a pattern hash",
            "Send 64 lower-case hexadecimal digits, as a match gives them",
        )
    return text


_NUMBERED = re.compile(r"\[(\d+|\.\.\.)\]")
_REMEDIES = {
    "context": 'Send an object such as {"industry": "retail", "campaign_type": "email"}',
    "context.industry": f"Send text of 1 to {LABEL_CHARS_MAX} characters, or leave it out",
    "context.campaign_type": f"Send text of 1 to {LABEL_CHARS_MAX} characters, or leave it out",
    "path": f"Send a list of 1 to {PATH_GIVEN_MAX} event types, or leave it out",
    "path[]": f"Send event types of 1 to {STEP_CHARS_MAX} characters",
    "k": f"Send a whole number from 1 to {K_MAX}, or leave it out for {K_DEFAULT}",
    "filters": "Send an object, or leave it out",
    "filters.min_confidence": "Send a number from 0 to 1, or leave it out",
    "filters.min_sample_size": "Send a whole number from 0 up, or leave it out",
    "filters.pattern_type": 'Send "session_path", or leave it out',
    "filters.industry": f"Send text of 1 to {LABEL_CHARS_MAX} characters, or leave it out",
    "filters.campaign_type": f"Send text of 1 to {LABEL_CHARS_MAX} characters, or leave it out",
}
_KNOWN_FIELDS = {
    "": MatchRequest.__struct_fields__,
    "context": Context.__struct_fields__,
    "filters": Filters.__struct_fields__,
}
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


def _decoded(body: bytes) -> MatchRequest:
    try:
        given = loads_strict(body)
        if type(given) is dict:
            _make_whole(given, "k")
            _make_whole(given.get("filters"), "min_sample_size")
        return msgspec.convert(given, MatchRequest)
    except MalformedJson as error:
        raise errors.malformed_json(str(error)) from None
    except msgspec.ValidationError as error:
        reason, _, place = str(error).rpartition(" - at `$")
        field = place.rstrip("`").lstrip(".") if reason else ""
        reason = reason or str(error)
        unknown = _UNKNOWN_FIELD.fullmatch(reason)
        if unknown is not None:
            name = f"{field}.{unknown[1]}".lstrip(".")[:100]
            known = ", ".join(_KNOWN_FIELDS.get(field, ()))
            raise errors.wrong_value(name, "is not a known field", f"Known are {known}") from None
        remedy = _REMEDIES.get(_NUMBERED.sub("[]", field), "Send a JSON object")
        raise errors.wrong_value(field, f"is wrong: {reason}", remedy) from None


def _make_whole(fields: Any, name: str) -> None:
    """10.0 is an integer to JSON Schema, and so to whoever follows the contract."""
    if type(fields) is dict:
        value = fields.get(name)
        if type(value) is float and value.is_integer():
            fields[name] = int(value)


def _label(text: str | None, field: str) -> str | None:
    return None if text is None else _plain(text, field, LABEL_CHARS_MAX)


def _path(given: list[str]) -> tuple[str, ...]:
    steps = [_plain(step, f"path[{i}]", STEP_CHARS_MAX) for i, step in enumerate(given)]
    collapsed = steps[:1] + [after for before, after in pairwise(steps) if after != before]
    return tuple(collapsed[-PATH_STEPS_MAX:])


def _plain(text: str, field: str, chars_max: int) -> str:
    """NFC, as events are stored; control characters never are, so they cannot be asked for."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise errors.wrong_value(field, "holds a control character", "Send plain text")
    if len(text) > chars_max:
        raise errors.wrong_value(
            field, f"is longer than {chars_max} characters in NFC", "Shorten it"
        )
    return text
