"""One canonical JSON for hashes, sizes and stored bodies."""

from __future__ import annotations

import json
from collections.abc import Callable
from json import encoder as _encoder
from typing import Any

_PORTABLE = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


def _prepared() -> Callable[[Any], str]:
    """`_PORTABLE` with its C part built once instead of at every call, where there is one."""
    make = getattr(_encoder, "c_make_encoder", None)
    if make is None:
        return _PORTABLE
    # By position: markers, default, encoder, indent, key and item separator, sort_keys,
    # skipkeys, allow_nan. Without markers a cycle ends in RecursionError, not in ValueError.
    chunks = make(None, _not_json, _encoder.encode_basestring, None, ":", ",", True, False, False)
    return lambda value: "".join(chunks(value, 0))


def _not_json(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} is not a JSON value")


_encode = _prepared()


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON, keys sorted by code point, no spaces, text unescaped where JSON allows.

    Raises:
        ValueError: NaN, an infinity or a lone surrogate.
        TypeError: not a JSON value.
        RecursionError: nested too deeply for the interpreter.
    """
    return _encode(value).encode()
