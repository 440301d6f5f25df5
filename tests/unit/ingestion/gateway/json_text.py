"""Makes JSON text, sound and unsound, the way careless and hostile senders write it.

Everything is a function of the random generator handed in, so a failing seed repeats.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random

Member = tuple[str, str]

_NUMBERS = """
    0 -0 1 7 -3 1.0 2.50 -0.0 0.0 0.1 0.30000000000000004 8.7 1e3 1E3 1e+3 1.5e-3 1e-4 0.0001
    0.00009 0.00001 1e-5 1E-7 5e-324 1e-400 999999999999999.9 1e15 1e16 1e22 123456789012345680.0
    1.7976931348623157e308 9007199254740993 9223372036854775807 9223372036854775808
    -9223372036854775808 -9223372036854775809 18446744073709551616 123456789012345678901234567890
"""
NUMBERS = tuple(_NUMBERS.split())
_NO_NUMBERS = "1e400 -1e999 NaN Infinity -Infinity 01 1. .5 +1 0x1 - 1_0 nul [1,] {,}"
_NO_STRINGS = ('"\\ud800"', '"\\udc00x"', '"\\x"', '"a\nb"', '"open', "'a'", '"\\u00g0"', "")
BROKEN = (*_NO_NUMBERS.split(), *_NO_STRINGS)
TEXTS = (
    "",
    "a",
    "shop",
    'say "hi"',
    'a":b',
    '":',
    'x\\":y',
    "back\\",
    '\\":',
    "two\nlines\ttab",
    "note : end",
    ' ":" ',
    "é",
    "e\u0301",
    "日本語",
    "\U0001f600",
    "\x7f",
    "\u2028",
    "a\x00b",
    "x" * 60,
    "y" * 101,
)
_BLANKS = ("", "", "", "", "", " ", "\n", "\t", "\r\n", "  ")
_FIELDS: dict[str, Sequence[str]] = {
    "session_id": ("s", "", "é", "a\nb", "x" * 100, "x" * 101, 'q"q', "\x7f", "日" * 40),
    "event_type": ("Order Completed", "_x", "", "é", "e\u0301" * 20, "x" * 50, "x" * 51, "a|b"),
    "event_id": ("0b5c-1", "a b", "", "x" * 64, "x" * 65, "é", "a\n"),
    "user_id": ("u", "", "é", "x" * 50, "x" * 51),
    "timestamp": (
        "2026-11-20T10:00:00Z",
        "2026-11-20T10:00:00.123456789Z",
        "2026-11-20T10:00:00.999999+05:30",
        "2026-11-20T10:00:00",
        "2026-11-20",
        "20261120T100000Z",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "yesterday",
        "",
    ),
}
_SOUND = {
    "session_id": "s-1",
    "event_type": "a.b",
    "event_id": "e-1",
    "timestamp": "2026-11-20T10:00:00.5Z",
}


def string(rng: Random, texts: Sequence[str] = TEXTS) -> str:
    return json.dumps(rng.choice(texts), ensure_ascii=rng.random() < 0.5)


def value(rng: Random, depth: int = 3, broken_share: float = 0.0) -> str:
    """Any value; with `broken_share`, sometimes one that is not JSON."""
    if rng.random() < broken_share:
        return rng.choice(BROKEN)
    kind = rng.randrange(10 if depth else 7)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 6:
        return string(rng)
    if kind == 6:
        return rng.choice(("true", "false", "null"))
    inner = [value(rng, depth - 1, broken_share) for _ in range(rng.randrange(4))]
    if kind == 7:
        return "[" + rng.choice((",", ", ")).join(inner) + "]"
    return written(rng, [(rng.choice(TEXTS), each) for each in inner])


def written(rng: Random, members: Sequence[Member]) -> str:
    """An object of (name, written value) pairs, in that order, with blanks here and there."""
    style: Callable[[], str] = (lambda: "") if rng.random() < 0.6 else lambda: rng.choice(_BLANKS)
    parts = [
        f"{json.dumps(name, ensure_ascii=rng.random() < 0.5)}{style()}:{style()}{each}{style()}"
        for name, each in members
    ]
    return "{" + ",".join(parts) + "}"


def event_data(rng: Random) -> str:
    """Known keys of right and wrong types, and anything else."""
    known = {
        "industry": lambda: string(rng, ("retail", "retail", "é", "", "x" * 101, "a\tb")),
        "campaign_type": lambda: rng.choice(('"email"', value(rng, 1))),
        "success": lambda: rng.choice(("true", "false", "null", "1")),
        "success_score": lambda: rng.choice((*NUMBERS, "true", "null", '"8"')),
    }
    members = [(name, make()) for name, make in known.items() if rng.random() < 0.4]
    others = [rng.choice((*TEXTS, "industry")) for _ in range(rng.randrange(3))]
    return written(rng, [*members, *((name, value(rng, 2)) for name in others)])


def event(rng: Random) -> str:
    """An event: mostly sound, with at most a few things wrong."""
    members = {name: json.dumps(text) for name, text in _SOUND.items()}
    if rng.random() < 0.5:
        field = rng.choice(list(_FIELDS))
        members[field] = string(rng, _FIELDS[field])
    if rng.random() < 0.2:
        del members[rng.choice(list(members))]
    if rng.random() < 0.2:
        members["event_time"] = rng.choice(("1795000000000", "1.5e12", "0", "null", "true"))
    pairs = list(members.items())
    if rng.random() < 0.9:
        pairs.append(("event_data", event_data(rng)))
    oddity = rng.randrange(30)
    if oddity == 0:
        pairs.append(("client_id", '"acme"'))
    elif oddity == 1 and pairs:
        pairs.append(pairs[0])
    elif oddity == 2:
        pairs.append(("user_id", "null"))
    rng.shuffle(pairs)
    return written(rng, pairs)
