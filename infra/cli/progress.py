"""Show parts starting and stopping: live on a terminal, line by line elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from types import TracebackType

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import TaskID as _Task

from infra.cli.output import amount_of, console
from infra.local.supervisor import ALREADY_RUNNING, NOTHING_TO_DO


class Screen:
    """A supervisor's reporter.

    `quiet` moves it to standard error, for machines reading JSON; `news_only` leaves out parts
    that were running already.
    """

    def __init__(self, quiet: bool = False, news_only: bool = False) -> None:
        self._news_only = news_only
        self._console = console(stderr=quiet)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("[dim]{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, _Task] = {}
        self._quarter_told = 0
        self._lock = Lock()

    def __enter__(self) -> Screen:
        self._progress.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def starting(self, part: str) -> None:
        self._tasks[part] = self._progress.add_task(part, total=None, note="")

    def waiting(self, part: str, trouble: str) -> None:
        self._progress.update(self._tasks[part], note=escape(trouble[:70]))

    def downloading(self, part: str, done_bytes: int, total_bytes: int) -> None:
        note = f"{amount_of(done_bytes)} of {amount_of(total_bytes)}"
        if part in self._tasks:
            self._progress.update(
                self._tasks[part], completed=done_bytes, total=total_bytes, note=note
            )
        with self._lock:
            quarter = 4 * done_bytes // total_bytes
            if not self._console.is_terminal and quarter > self._quarter_told:
                self._quarter_told = quarter
                self.say(f"  downloading {part}: {note}")

    def ready(self, part: str, seconds: float, note: str) -> None:
        self._close(part)
        if self._news_only and note in (ALREADY_RUNNING, NOTHING_TO_DO):
            return
        self.say(f"[green]✓[/] {part:<18} [dim]{seconds:5.1f} s[/]  {escape(note)}")

    def stopped(self, part: str, was_running: bool) -> None:
        if was_running:
            self.say(f"[green]✓[/] {part} stopped")

    def failed(self, part: str, error: Exception) -> None:
        self._close(part)
        reason = getattr(error, "message", str(error)).splitlines()[0]
        self.say(f"[red]✗[/] {part:<18} {escape(reason)}")

    def platform_is_up(
        self, started: list[str], seconds: float, addresses: Mapping[str, str]
    ) -> None:
        """The last words of `up`."""
        what = f"{len(started)} parts started" if started else "everything was running already"
        self.say(f"\n[bold green]Ready[/] in {seconds} s: {what}.")
        for name, address in addresses.items():
            self.say(f"  {name:<11}{address}")
        if addresses:
            self.say("Next: sagestream keys create my-team --scope ingest --scope read")

    def say(self, text: str) -> None:
        self._console.print(text)

    def _close(self, part: str) -> None:
        if part in self._tasks:
            self._progress.remove_task(self._tasks.pop(part))
