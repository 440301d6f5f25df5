"""The DeskDrop log as Sagestream events: read, given tenants, moved to the present.

The whole log is shifted by one constant, a multiple of the window size, so that every gap and
every window of the original is kept; the last window has just ended, so it can close at once.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stream_jobs.patterns.window import WINDOW_SIZE_MS, window_end, window_start

DATA_FILE = Path(__file__).parent / "data" / "deskdrop_users_interactions.csv.gz"
INDUSTRY = "media"
UNKNOWN_TENANT = "unknown"
_EVENT_TYPES = {
    "VIEW": "view",
    "LIKE": "like",
    "BOOKMARK": "bookmark",
    "FOLLOW": "follow",
    "COMMENT CREATED": "comment",
}
_MOBILE_MARKS = ("Android", "iPhone", "iPad", "Mobile")


@dataclass(frozen=True, slots=True)
class Interaction:
    """One row of the log, in the words of the event contract."""

    event_id: str
    tenant: str
    session_id: str
    user_id: str
    event_type: str
    event_time_ms: int
    content_id: str
    device: str

    @property
    def success(self) -> bool:
        """A reader who likes, bookmarks, follows or comments found something of value."""
        return self.event_type != "view"

    @property
    def timestamp(self) -> datetime:
        return datetime.fromtimestamp(self.event_time_ms / 1000, tz=UTC)

    def properties(self) -> dict[str, object]:
        """The `event_data` that an application would send."""
        return {
            "industry": INDUSTRY,
            "campaign_type": self.device,
            "content_id": self.content_id,
            "success": self.success,
        }


def load(now_ms: int, path: Path = DATA_FILE) -> list[Interaction]:
    """All interactions in time order, shifted so that the last window ended just before now.

    Exact copies in the file share an event id; ties keep the order of the file.
    """
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    tenants = _tenant_of_person(rows)
    shift_ms = _shift_ms(max(int(row["timestamp"]) for row in rows) * 1000, now_ms)
    interactions = [_interaction(row, tenants[row["personId"]], shift_ms) for row in rows]
    interactions.sort(key=lambda interaction: interaction.event_time_ms)
    return interactions


def expected_windows(interactions: Sequence[Interaction]) -> int:
    """How many (tenant, session, window) the log holds."""
    return len({(i.tenant, i.session_id, window_start(i.event_time_ms)) for i in interactions})


def _shift_ms(last_ms: int, now_ms: int) -> int:
    distance_ms = window_start(now_ms) - window_end(window_start(last_ms))
    return distance_ms - distance_ms % WINDOW_SIZE_MS


def _tenant_of_person(rows: Sequence[dict[str, str]]) -> dict[str, str]:
    """Each person's most frequent country, so that a session never changes tenant."""
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        seen[row["personId"]][row["userCountry"]] += 1
    return {
        person: min(countries, key=lambda name: (-countries[name], name)) or UNKNOWN_TENANT
        for person, countries in seen.items()
    }


def _interaction(row: dict[str, str], tenant: str, shift_ms: int) -> Interaction:
    event_time_ms = int(row["timestamp"]) * 1000 + shift_ms
    identity = "\x1f".join(row.values())
    event_type = _EVENT_TYPES[row["eventType"]]
    return Interaction(
        # Exact copies share an id. It begins with the type, so ids order ties in time sensibly.
        event_id=f"{event_type}-{hashlib.sha256(identity.encode()).hexdigest()[:24]}",
        tenant=tenant,
        session_id=row["sessionId"],
        user_id=row["personId"],
        event_type=event_type,
        event_time_ms=event_time_ms,
        content_id=row["contentId"],
        device=_device(row["userAgent"]),
    )


def _device(user_agent: str) -> str:
    if not user_agent:
        return "unknown"
    return "mobile" if any(mark in user_agent for mark in _MOBILE_MARKS) else "desktop"
