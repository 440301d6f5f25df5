"""One comparison: ours against a peer, measured in the same run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import geometric_mean
from typing import Any

OUT = Path(__file__).resolve().parent / "out"
RESULTS = OUT / "results.json"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`ratio` is ours / peer, the geometric mean of paired blocks; more is better."""

    id: str
    unit: str
    ours: float
    peer: float
    peer_name: str
    ratio: float
    goal: float
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        fields = asdict(self)
        fields["pass"] = self.ratio >= self.goal
        return fields


def paired_ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """Geometric mean of the ratios of blocks that ran next to each other."""
    return round(geometric_mean([a / b for a, b in zip(ours, peer, strict=True)]), 2)


def write(found: Sequence[dict[str, Any]], path: Path = RESULTS) -> None:
    """Put results into the file; those with the same id are replaced, others stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {entry["id"]: entry for entry in json.loads(path.read_text())} if path.is_file() else {}
    known |= {entry["id"]: entry for entry in found}
    path.write_text(json.dumps(list(known.values()), indent=2) + "\n")
