"""Run things that need each other, as concurrently as their needs allow. Pure but for threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

Needs = Mapping[str, tuple[str, ...]]


@dataclass(slots=True)
class Outcome:
    """What became of every name."""

    done: list[str] = field(default_factory=list)  # in the order they finished
    failed: dict[str, Exception] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)  # name → the need that failed


def closure(needs: Needs, wanted: Iterable[str]) -> set[str]:
    """The wanted names and everything they need."""
    found: set[str] = set()
    todo = list(wanted)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(needs[name])
    return found


def within(needs: Needs, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The part of the graph among these names only."""
    kept = set(names)
    return {name: tuple(n for n in needs[name] if n in kept) for name in needs if name in kept}


def reverse(needs: Needs) -> dict[str, tuple[str, ...]]:
    """Who must go before whom when everything is taken down."""
    return {name: tuple(other for other in needs if name in needs[other]) for name in needs}


def order(needs: Needs) -> list[str]:
    """Needs first; among equals the given order. Raises ValueError on a cycle."""
    ordered: list[str] = []
    while len(ordered) < len(needs):
        ready = [n for n in needs if n not in ordered and set(needs[n]) <= set(ordered)]
        if not ready:
            raise ValueError(f"these need each other: {sorted(set(needs) - set(ordered))}")
        ordered.extend(ready)
    return ordered


def run(
    needs: Needs, action: Callable[[str], None], on_interrupt: Callable[[], None] = lambda: None
) -> Outcome:
    """Call `action(name)` as soon as all its needs are done; a failure skips its dependents.

    Ctrl-C calls `on_interrupt`, which should make the actions under way return soon, and then
    goes on to the caller.
    """
    order(needs)  # refuses cycles before anything is started
    outcome = Outcome()
    waiting = dict(needs)
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(needs))) as pool:
        try:
            while waiting or running:
                _skip(waiting, outcome)
                for name in [n for n in waiting if set(waiting[n]) <= set(outcome.done)]:
                    del waiting[name]
                    running[pool.submit(action, name)] = name
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    _note(outcome, running.pop(future), future.exception())
        except BaseException:
            on_interrupt()
            raise
    return outcome


def _note(outcome: Outcome, name: str, error: BaseException | None) -> None:
    if error is None:
        outcome.done.append(name)
    elif isinstance(error, Exception):
        outcome.failed[name] = error
    else:
        raise error


def _skip(waiting: dict[str, tuple[str, ...]], outcome: Outcome) -> None:
    """Give up what needs something that failed, and what needs that in turn."""
    changed = True
    while changed:
        changed = False
        for name in list(waiting):
            lost = [n for n in waiting[name] if n in outcome.failed or n in outcome.skipped]
            if lost:
                outcome.skipped[name] = outcome.skipped.get(lost[0], lost[0])
                del waiting[name]
                changed = True
