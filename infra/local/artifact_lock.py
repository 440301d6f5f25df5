"""Which jars are wanted, and how the lock is made from them."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from infra.local.artifacts import maven_context, sha256_of

# Roots with everything they need at run time. The SLF4J binding matches Kafka's slf4j-api 1.7.
_WITH_CLOSURE: dict[str, tuple[str, ...]] = {
    "kafka": (
        "org.apache.kafka:kafka_2.13:4.4.0",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",
    ),
}
# Self-contained (shaded) jars, taken alone.
_ALONE: dict[str, tuple[str, ...]] = {
    "flink": ("org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2",)
}
_RUNTIME_SCOPES = (None, "compile", "runtime")
_PARALLEL = 6


def resolve() -> dict[str, Any]:
    """The lock file's content; downloads every POM and jar once, which takes about a minute."""
    with tempfile.TemporaryDirectory() as scratch:
        context = maven_context(Path(scratch), "", lambda _count: None)
        groups = {}
        for name, roots in _WITH_CLOSURE.items():
            groups[name] = {"roots": list(roots), "jars": _locked(_closure(context, roots))}
        for name, roots in _ALONE.items():
            chosen = [context.create_dependency(root).artifact for root in roots]
            groups[name] = {"roots": list(roots), "jars": _locked(chosen)}
    return {"groups": groups}


def _closure(context: Any, roots: tuple[str, ...]) -> list[Any]:
    """Each root resolved by itself; where two disagree about a version, the earlier root wins.

    Resolving them together would let the later root's version management reach into the first.
    """
    chosen: dict[tuple[str, str], Any] = {}
    for root in roots:
        inputs, transitive = context.resolver.resolve([context.create_dependency(root)])
        for dependency in (*inputs, *transitive):
            if dependency.scope in _RUNTIME_SCOPES:
                name = (dependency.groupId, dependency.artifactId)
                chosen.setdefault(name, dependency.artifact)
    return list(chosen.values())


def _locked(artifacts: list[Any]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(_PARALLEL) as pool:
        entries = list(pool.map(_entry, artifacts))
    return sorted(entries, key=lambda entry: str(entry["coordinate"]))


def _entry(artifact: Any) -> dict[str, Any]:
    path = Path(artifact.resolve())
    return {
        "coordinate": f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}",
        "sha256": sha256_of(path),
        "size_bytes": path.stat().st_size,
    }
