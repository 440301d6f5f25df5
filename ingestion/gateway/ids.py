"""Ids for events that came without one."""

from __future__ import annotations


def uuid7(now_ms: int, random: bytes) -> str:
    """UUID version 7 (RFC 9562): 48 bits of time, 74 of the 80 given random bits."""
    bits = int.from_bytes(random[:10], "big")
    value = (now_ms & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (bits >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | bits & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
