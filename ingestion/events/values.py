"""JSON values that stores can hold: bounded integers, finite numbers, whole text, bounded depth."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

DEPTH_MAX = 32
INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
_PATH_CHARS_MAX = 200
# C0, DEL and C1: the control characters (Unicode category Cc).
control_in = re.compile(r"[\x00-\x1f\x7f-\x9f]").search


@dataclass(frozen=True, slots=True)
class Fault:
    """The first value that cannot be kept: where it is, what is wrong, what to do."""

    path: str
    reason: str
    remedy: str


def is_plain(value: Any, depth: int = 1) -> bool:
    """A quick yes for objects and arrays without faults that encoding would not find by itself.

    Encoding finds NaN, infinities and lone surrogates, and shows NUL; the rest is found here.
    """
    for inner in value.values() if type(value) is dict else value:
        kind = type(inner)
        if kind is str or kind is bool or inner is None or kind is float:
            continue
        if kind is int:
            if INT64_MIN <= inner <= INT64_MAX:
                continue
            return False
        if (kind is dict or kind is list) and depth < DEPTH_MAX and is_plain(inner, depth + 1):
            continue
        return False
    return True


def find_fault(value: Any, path: str = "", depth: int = 1) -> Fault | None:
    """Look at every key and value; None when all can be kept. `depth` counts this level."""
    kind = type(value)
    if kind is str:
        return _text_fault(value, path)
    if kind is int:
        if INT64_MIN <= value <= INT64_MAX:
            return None
        return Fault(path, "is an integer outside 64 bits", "send it as text")
    if kind is float:
        if math.isfinite(value):
            return None
        return Fault(path, "is not a finite number", "leave it out or send null")
    if kind is bool or value is None:
        return None
    if kind is not dict and kind is not list:
        return Fault(path, "is not a JSON value", "send plain JSON")
    if depth > DEPTH_MAX:
        return Fault(path, f"is nested deeper than {DEPTH_MAX}", "flatten it")
    if kind is dict:
        for key, inner in value.items():
            if type(key) is not str:
                return Fault(path, "has a key that is not text", "send plain JSON")
            place = _extended(path, "." + ascii(key[:50])[1:-1])
            fault = _text_fault(key, place) or find_fault(inner, place, depth + 1)
            if fault is not None:
                return fault
        return None
    for index, inner in enumerate(value):
        fault = find_fault(inner, _extended(path, f"[{index}]"), depth + 1)
        if fault is not None:
            return fault
    return None


def text_is_whole(text: str) -> bool:
    """False for text with lone surrogates, which has no UTF-8 form."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _extended(path: str, step: str) -> str:
    return path + step if len(path) < _PATH_CHARS_MAX else path


def _text_fault(text: str, path: str) -> Fault | None:
    if "\x00" in text:
        return Fault(path, "holds a NUL character", "remove it")
    if not text_is_whole(text):
        return Fault(path, "holds a lone surrogate", "send whole characters")
    return None
