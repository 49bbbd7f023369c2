"""Events of one or several stages, as people or machines read them."""

from collections.abc import Mapping
import json
import sys
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column

Style = Literal["auto", "bar", "json"]
"""Bars for people, JSON lines for pods; auto is bars where standard error is a terminal."""

COLORS = {"warning": "yellow", "failed": "red", "published": "green"}

FRAME = {"time", "event", "run", "instance", "index", "rank", "attempt", "elapsed_s"}
"""Fields that say whose an event is, and when."""

PROGRESS = {"work", "done", "total", "unit", "eta_s"}
"""Fields that every event of progress has."""


class Display(Protocol):
    """What shows events."""

    smooth: bool
    """Whether it wants progress more often than it goes on record."""

    def event(self, event: Mapping[str, Any]) -> None:
        """Show one event."""

    def text(self, instance: str, line: str) -> None:
        """Show a line that is no event, such as one of a traceback."""

    def close(self) -> None:
        """Leave the terminal as others expect it."""


class JsonDisplay:
    """One JSON line an event on standard error."""

    smooth = False

    def event(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        self.text("", json.dumps(event, ensure_ascii=False))

    def text(self, instance: str, line: str) -> None:  # noqa: ARG002 - text is passed on as it stands
        """Show a line that is no event."""
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - a pod's log

    def close(self) -> None:
        """Nothing to do."""


class TerminalDisplay:
    """A bar for each piece of work, and a line for everything else."""

    smooth = True

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TaskProgressColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            # what is left of the line is for the numbers, cut where it ends
            TextColumn(
                "{task.fields[shown]}",
                style="dim",
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=Console(stderr=True, highlight=False),
            expand=True,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def event(self, event: Mapping[str, Any]) -> None:
        """Show one event: progress moves its bar, anything else is a line above the bars."""
        if event["rank"] != 0:
            return
        if event["event"] == "progress":
            self._move(event)
            return
        kind, instance = event["event"], event["instance"]
        shown = " ".join(f"{name}={_short(value)}" for name, value in event.items() if name not in FRAME)
        self._progress.console.print(
            f"{escape(instance)} [{COLORS.get(kind, 'cyan')}]{escape(kind)}[/] {escape(shown)}",
            soft_wrap=True,
        )

    def text(self, instance: str, line: str) -> None:
        """Show a line that is no event."""
        self._progress.console.print(f"{instance}: {line}", markup=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the bars as they are and give the terminal back."""
        self._progress.stop()

    def _move(self, event: Mapping[str, Any]) -> None:
        key = (event["instance"], event["work"])
        if key not in self._tasks:
            self._progress.start()
            self._tasks[key] = self._progress.add_task(
                event["instance"], total=event["total"], count="", shown="", left=""
            )
        fields = {name: value for name, value in event.items() if name not in FRAME | PROGRESS}
        finished = event["done"] >= event["total"]
        left = "" if finished or event["eta_s"] is None else f"{_clock(event['eta_s'])} left"
        self._progress.update(
            self._tasks[key],
            completed=event["done"],
            count=f"{event['done']:,.6g}/{event['total']:,.6g} {event['unit']}",
            left=left,
            shown=" ".join(f"{name} {_short(value)}" for name, value in fields.items()),
        )


def display_of(style: Style) -> Display:
    """The display that a style asks for."""
    if style == "json" or (style == "auto" and not sys.stderr.isatty()):
        return JsonDisplay()
    return TerminalDisplay()


def _short(value: object) -> str:
    """A value as people read it beside a bar."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
