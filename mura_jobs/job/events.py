"""What a stage tells while it works: bars on a terminal, JSON lines in a pod, and a record in the bucket."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
import json
from pathlib import PurePosixPath
import sys
from time import monotonic
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mura_jobs.bucket.base import Bucket, ObjectMissing

Style = Literal["bar", "json"]

PROGRESS_SECONDS = 5.0
"""A JSON line of progress at most this often."""

UPLOAD_SECONDS = 20.0
"""The record in the bucket is brought up to date at most this often; a killed stage loses no more of it."""


def default_style() -> Style:
    """Bars on a terminal, JSON lines elsewhere."""
    return "bar" if sys.stderr.isatty() else "json"


class Bar:
    """One piece of work of known size."""

    def __init__(self, events: "Events", total: float, unit: str, description: str) -> None:
        self.total = total
        self.unit = unit
        self.description = description
        self.done: float = 0
        self._events = events
        self._started = monotonic()
        self._begun_at: float = 0
        self._reported = monotonic()

    def start_at(self, done: float) -> None:
        """Resumed work: `done` was done before, so the time left is judged from here."""
        self.done = self._begun_at = done

    def advance(self, amount: float = 1, **fields: Any) -> None:
        """Count `amount` more as done; `fields` (a loss, a rate) are shown beside the count."""
        self.done += amount
        self._events._show(self, fields)
        if monotonic() - self._reported >= PROGRESS_SECONDS or self.done >= self.total:
            self._reported = monotonic()
            self._events._progress(self, fields)

    @property
    def eta_seconds(self) -> float | None:
        """Time left in seconds at the speed so far."""
        progress = self.done - self._begun_at
        if progress <= 0:
            return None
        return max(self.total - self.done, 0) * (monotonic() - self._started) / progress


class Events:
    """The voice of one stage instance. Every line carries run, stage, instance, rank and attempt.

    Lines are kept in the bucket as `key` (JSON lines), where `status` and the report find them; those of
    earlier attempts stay. Ranks other than 0 speak through a pod's log only.
    """

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        *,
        style: Style,
        labels: dict[str, Any],
        rank: int = 0,
        console: Console | None = None,
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._style = style
        self._console = console or Console(stderr=True, highlight=False)
        self._started = monotonic()
        self._uploaded = monotonic()
        self._display: Progress | None = None
        self._task: Any = None
        self._rank = rank
        self._lines = self._earlier() if rank == 0 else []
        attempts = [line["attempt"] for line in self._lines]
        self._labels = labels | {"rank": rank, "attempt": max(attempts, default=0) + 1}

    @property
    def elapsed_seconds(self) -> float:
        """Wall-clock seconds of all attempts together, as far as they are on record."""
        spent: dict[int, float] = {}
        for line in self._lines:
            spent[line["attempt"]] = max(spent.get(line["attempt"], 0.0), line["elapsed_s"])
        spent[self._labels["attempt"]] = monotonic() - self._started
        return sum(spent.values())

    def emit(self, kind: str, **fields: Any) -> None:
        """Record that something happened; `kind` is a short word: "counts", "checkpoint", "warning"."""
        line = self._record(kind, fields)
        if self._style == "json":
            print(json.dumps(line, ensure_ascii=False), file=sys.stderr, flush=True)  # noqa: T201 - a pod's log
        elif self._rank == 0:
            shown = " ".join(f"{name}={_short(value)}" for name, value in fields.items())
            color = "yellow" if kind == "warning" else "red" if kind == "failed" else "dim"
            title = PurePosixPath(self._key).stem
            self._console.print(f"[{color}]{escape(title)}: {escape(kind)} {escape(shown)}[/{color}]")

    @contextmanager
    def progress(self, total: float, unit: str, description: str) -> Iterator[Bar]:
        """Show a piece of work of `total` units while it goes on."""
        bar = Bar(self, total, unit, description)
        if self._style == "json" or self._rank:
            yield bar
            return
        with Progress(
            TextColumn("{task.description:>24}"),
            BarColumn(bar_width=28),
            TaskProgressColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[shown]}", style="dim"),
            console=self._console,
        ) as self._display:
            self._task = self._display.add_task(description, total=total, count="", shown="")
            try:
                yield bar
            finally:
                self._show(bar, {})
        self._display = None

    def close(self) -> None:
        """Bring the record in the bucket up to date."""
        if self._rank == 0:
            data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self._lines)
            self._bucket.write(self._key, data.encode())
            self._uploaded = monotonic()

    def _record(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": kind,
            **self._labels,
            "elapsed_s": round(monotonic() - self._started, 3),
            **fields,
        }
        self._lines.append(line)
        if monotonic() - self._uploaded >= UPLOAD_SECONDS:
            self.close()
        return line

    def _show(self, bar: Bar, fields: dict[str, Any]) -> None:
        if self._display is not None:
            count = f"{bar.done:,.4g}/{bar.total:,.4g} {bar.unit}"
            shown = " ".join(f"{name} {_short(value)}" for name, value in fields.items())
            self._display.update(
                self._task, completed=bar.done, count=count, **({"shown": shown} if shown else {})
            )

    def _progress(self, bar: Bar, fields: dict[str, Any]) -> None:
        eta = bar.eta_seconds
        line = self._record(
            "progress",
            {
                "work": bar.description,
                "done": bar.done,
                "total": bar.total,
                "unit": bar.unit,
                "eta_s": None if eta is None else round(eta, 1),
                **fields,
            },
        )
        if self._style == "json":
            print(json.dumps(line, ensure_ascii=False), file=sys.stderr, flush=True)  # noqa: T201 - a pod's log

    def _earlier(self) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in self._bucket.read(self._key).splitlines()]
        except ObjectMissing:
            return []


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
