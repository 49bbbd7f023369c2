"""Progress of one piece of work: a bar on a terminal, JSON lines in a pod."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

REPORT_SECONDS = 5.0
"""Progress is put on record at most this often."""


class Bar:
    """One piece of work of known size. `events.progress(...)` makes it."""

    def __init__(
        self,
        total: float,
        show: Callable[["Bar", Mapping[str, object]], None],
        report: Callable[["Bar", Mapping[str, object]], None],
    ) -> None:
        self.total = total
        self.done: float = 0
        self._show = show
        self._report = report
        self._started = self._reported = monotonic()
        self._begun_at: float = 0

    def start_at(self, done: float) -> None:
        """Resumed work: `done` was done before, so the time left is judged from here."""
        self.done = self._begun_at = done
        self._show(self, {})

    def advance(self, amount: float = 1, **fields: object) -> None:
        """Count `amount` more as done; `fields` (a loss, a rate) are shown beside the count."""
        self.done += amount
        self._show(self, fields)
        if monotonic() - self._reported >= REPORT_SECONDS or self.done >= self.total:
            self._reported = monotonic()
            self._report(self, fields)

    @property
    def eta_seconds(self) -> float | None:
        """Time left in seconds at the speed so far; None before anything is done."""
        progress = self.done - self._begun_at
        if progress <= 0:
            return None
        return max(self.total - self.done, 0) * (monotonic() - self._started) / progress


@contextmanager
def terminal_bar(
    console: Console, total: float, unit: str, description: str
) -> Iterator[Callable[[Bar, Mapping[str, object]], None]]:
    """A bar on the terminal; yields what brings it up to date."""
    with Progress(
        TextColumn("{task.description:<26}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[shown]}", style="dim"),
        console=console,
    ) as display:
        task = display.add_task(description, total=total, count="", shown="")

        def show(bar: Bar, fields: Mapping[str, object]) -> None:
            count = f"{bar.done:,.6g}/{bar.total:,.6g} {unit}"
            shown = " ".join(f"{name} {short(value)}" for name, value in fields.items())
            if shown:
                display.update(task, completed=bar.done, count=count, shown=shown)
            else:
                display.update(task, completed=bar.done, count=count)

        yield show


def short(value: object) -> str:
    """A value as people read it beside a bar."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
