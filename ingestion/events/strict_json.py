"""JSON as the gateway accepts it: the slow, obvious reference.

Stricter than the standard parser: UTF-8 only, no byte order mark, no duplicate keys, no NaN or
infinity, no lone surrogates, bounded depth. Rules of events (64-bit integers, NUL, 32 levels) are
left to `admission`, which can name the event and the field.
"""

from __future__ import annotations

import json
from typing import Any

from ingestion.events.errors import MalformedJson
from ingestion.events.values import find_fault

# An event's own limit is lower (32); the rest is for the envelopes around events.
DEPTH_MAX = 64
_TOO_DEEP = f"nested deeper than {DEPTH_MAX}"


def loads_strict(raw: bytes) -> Any:
    """The value of a JSON document.

    Raises:
        MalformedJson: with the reason and, where known, the position or the place.
    """
    try:
        text = raw.decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        raise MalformedJson("not UTF-8", error.start) from None
    if text.startswith("\ufeff"):
        raise MalformedJson("a byte order mark is not allowed", 0)
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise MalformedJson(error.msg, error.pos) from None
    except RecursionError:
        raise MalformedJson(_TOO_DEEP) from None
    except MalformedJson:
        raise
    except ValueError:  # the interpreter refuses to convert integers of thousands of digits
        raise MalformedJson("an integer has too many digits") from None
    if text.count("[") + text.count("{") > DEPTH_MAX and _depth(value) > DEPTH_MAX:
        raise MalformedJson(_TOO_DEEP)
    _check_encodable(value)
    return value


def _check_encodable(value: Any) -> None:
    """What can be read but not written: 1e999, NaN, lone surrogates."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise MalformedJson(f"a lone surrogate is not text{_place(value, 'surrogate')}") from None
    except ValueError:
        raise MalformedJson(f"a number is not finite{_place(value, 'finite')}") from None


def _place(value: Any, word: str) -> str:
    fault = find_fault(value)
    return f" ({fault.path})" if fault is not None and fault.path and word in fault.reason else ""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _value in pairs:
            if key in seen:
                raise MalformedJson(f"the key {key[:50]!a} stands twice in one object")
            seen.add(key)
    return found


def _depth(value: Any) -> int:
    """Levels of nesting, breadth first, so that no recursion is needed; counts to the limit."""
    level = [value]
    depth = 0
    while depth <= DEPTH_MAX:
        level = [each for each in level if type(each) is dict or type(each) is list]
        if not level:
            break
        depth += 1
        level = [
            inner for each in level for inner in (each.values() if type(each) is dict else each)
        ]
    return depth
