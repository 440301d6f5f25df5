"""Log files of the parts: rotation at start, last lines for messages."""

from __future__ import annotations

from pathlib import Path

ROTATE_BYTES = 20 * 1024 * 1024
_TAIL_READ_BYTES = 64 * 1024


def rotate(log: Path) -> None:
    """Make room at start: one old generation is kept."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > ROTATE_BYTES:
        log.replace(log.with_suffix(".log.1"))


def tail(log: Path, lines: int) -> list[str]:
    """The last lines; none when there is no log."""
    return _last_lines(log, lines, _TAIL_READ_BYTES if lines <= 200 else ROTATE_BYTES)


def quote(log: Path, lines: int = 6, began_bytes: int = 0) -> str:
    """The last non-empty lines written after `began_bytes`, indented, for an error message."""
    written = _last_lines(log, 4 * lines, _TAIL_READ_BYTES, began_bytes)
    found = [line for line in written if line.strip()][-lines:]
    if not found:
        return f"Its log {log} is empty."
    return "Last lines of its log:\n" + "\n".join(f"    {line[:240]}" for line in found)


def _last_lines(log: Path, lines: int, read_bytes: int, began_bytes: int = 0) -> list[str]:
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size - read_bytes, began_bytes)
            file.seek(start)
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    found = text.splitlines()
    if start not in (0, began_bytes):
        found = found[1:]  # the first one is probably cut
    return found[-lines:] if lines else []
