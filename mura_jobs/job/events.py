"""What a stage tells while it works: bars on a terminal, JSON lines in a pod, and a record in the bucket."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
import json
import sys
from time import monotonic
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape

from mura_jobs.bucket.base import Bucket, ObjectMissing
from mura_jobs.job.progress import Bar, short, terminal_bar

Style = Literal["auto", "bar", "json"]
"""Bars for people, JSON lines for pods; auto is bars where standard error is a terminal."""

UPLOAD_SECONDS = 20.0
"""The record in the bucket is brought up to date at most this often; a killed stage loses no more of it."""

COLORS = {"warning": "yellow", "failed": "red", "published": "green"}


class Events:
    """The voice of one stage instance. Every line says which run, instance, rank and attempt it is of.

    Lines are kept in the bucket as `key` (JSON lines), where `status` and the report find them; those of
    earlier attempts stay. Ranks other than 0 speak through their pod's log only.
    """

    def __init__(
        self, bucket: Bucket, key: str, *, style: Style, run: str, instance: str, rank: int = 0
    ) -> None:
        """Begin an attempt.

        Args:
            bucket: where the record is kept.
            key: the record's key.
            style: how to speak.
            run: id of the run.
            instance: the stage instance, for instance "train-gan/positive".
            rank: of this process; all but rank 0 leave the record alone.
        """
        self._bucket = bucket
        self._key = key
        self._json = style == "json" or (style == "auto" and not sys.stderr.isatty())
        self._instance = instance
        self._rank = rank
        self._console = Console(stderr=True, highlight=False)
        self._started = self._uploaded = monotonic()
        self._lines = self._earlier() if rank == 0 else []
        self._attempt = max((line["attempt"] for line in self._lines), default=0) + 1
        self._labels = {"run": run, "instance": instance, "rank": rank, "attempt": self._attempt}

    @property
    def elapsed_seconds(self) -> float:
        """Wall-clock seconds of all attempts together, as far as they are on record."""
        spent: dict[int, float] = {}
        for line in self._lines:
            spent[line["attempt"]] = max(spent.get(line["attempt"], 0.0), line["elapsed_s"])
        return sum(spent.values()) - spent.get(self._attempt, 0.0) + monotonic() - self._started

    def emit(self, kind: str, **fields: object) -> None:
        """Record that something happened; `kind` is a short word: "counts", "checkpoint", "warning"."""
        line = self._record(kind, fields)
        if self._json:
            self._print(line)
        elif self._rank == 0:
            shown = escape(" ".join(f"{name}={short(value)}" for name, value in fields.items()))
            self._console.print(
                f"  {escape(self._instance)} [{COLORS.get(kind, 'cyan')}]{escape(kind)}[/] {shown}",
                soft_wrap=True,
            )

    @contextmanager
    def progress(self, total: float, unit: str, description: str) -> Iterator[Bar]:
        """Show a piece of work of `total` units while it goes on."""

        def report(bar: Bar, fields: Mapping[str, object]) -> None:
            eta = bar.eta_seconds
            work = {"work": description, "done": bar.done, "total": bar.total, "unit": unit}
            line = self._record(
                "progress", {**work, "eta_s": None if eta is None else round(eta, 1), **fields}
            )
            if self._json:
                self._print(line)

        if self._json or self._rank:
            yield Bar(total, lambda _bar, _fields: None, report)
        else:
            with terminal_bar(self._console, total, unit, description) as show:
                yield Bar(total, show, report)

    def close(self) -> None:
        """Bring the record in the bucket up to date."""
        if self._rank == 0:
            data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self._lines)
            self._bucket.write(self._key, data.encode())
            self._uploaded = monotonic()

    def _record(self, kind: str, fields: Mapping[str, object]) -> dict[str, Any]:
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

    def _print(self, line: Mapping[str, Any]) -> None:
        print(json.dumps(line, ensure_ascii=False), file=sys.stderr, flush=True)  # noqa: T201 - a pod's log

    def _earlier(self) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in self._bucket.read(self._key).splitlines()]
        except ObjectMissing:
            return []
