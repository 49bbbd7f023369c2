"""What a stage tells while it works: bars on a terminal, JSON lines in a pod, and a record in the bucket."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
import json
from time import monotonic
from typing import Any

from mura_jobs.bucket.base import Bucket, BucketError, ObjectMissing
from mura_jobs.errors import InputError
from mura_jobs.job.display import Style, display_of
from mura_jobs.job.lines import parse_lines
from mura_jobs.job.progress import Bar

UPLOAD_SECONDS = 20.0
"""The record in the bucket is brought up to date at most this often; a killed stage loses no more of it."""


def record_key(run: str, instance: str, index: int) -> str:
    """Where in the bucket the record of one share of an instance's work lies."""
    return f"runs/{run}/events/{instance.replace('/', '-')}-{index}.jsonl"


class Events:
    """The voice of one stage instance. Every line says which run, instance, index and rank it is of.

    Those of rank 0 also say of which attempt. They are kept in the bucket (JSON lines), where `status` and
    the report find them; those of earlier attempts stay. Other ranks speak through their pod's log only.
    """

    def __init__(
        self,
        bucket: Bucket,
        *,
        style: Style,
        run: str,
        instance: str,
        index: int = 0,
        rank: int = 0,
    ) -> None:
        """Begin an attempt.

        Args:
            bucket: where the record is kept.
            style: how to speak.
            run: id of the run.
            instance: the stage instance, for instance "train-gan/positive".
            index: of this pod among those that share the instance's work.
            rank: of this process; all but rank 0 leave the record alone.
        """
        self._bucket = bucket
        self._key = record_key(run, instance, index)
        self._display = display_of(style)
        self._rank = rank
        self._started = self._uploaded = monotonic()
        self._lines, damage = self._earlier() if rank == 0 else ([], None)
        self._attempt = max((line["attempt"] for line in self._lines), default=0) + 1
        self._labels = {"run": run, "instance": instance, "index": index, "rank": rank}
        if rank == 0:
            self._labels["attempt"] = self._attempt
        if damage:
            self.emit("warning", message=damage)

    @property
    def elapsed_seconds(self) -> float:
        """Wall-clock seconds of all attempts together, as far as they are on record."""
        spent: dict[int, float] = {}
        for line in self._lines:
            spent[line["attempt"]] = max(spent.get(line["attempt"], 0.0), line["elapsed_s"])
        return sum(spent.values()) - spent.get(self._attempt, 0.0) + monotonic() - self._started

    def emit(self, kind: str, **fields: object) -> None:
        """Record that something happened; `kind` is a short word: "counts", "checkpoint", "warning"."""
        self._tell(self._line(kind, fields))

    @contextmanager
    def progress(self, total: float, unit: str, description: str) -> Iterator[Bar]:
        """Show a piece of work of `total` units while it goes on."""

        def line(bar: Bar, fields: Mapping[str, object]) -> dict[str, Any]:
            eta = bar.eta_seconds
            work = {"work": description, "done": bar.done, "total": bar.total, "unit": unit}
            return self._line("progress", {**work, "eta_s": None if eta is None else round(eta, 1), **fields})

        def show(bar: Bar, fields: Mapping[str, object]) -> None:
            if self._display.smooth:
                self._display.event(line(bar, fields))

        yield Bar(total, show, lambda bar, fields: self._tell(line(bar, fields)))

    def close(self) -> None:
        """Bring the record in the bucket up to date and leave the terminal.

        Where the bucket does not take the record, that is said and no more: what counts is how the attempt
        ended.
        """
        try:
            self._upload()
        except BucketError as error:
            self._warn(error)
        self._display.close()

    def _upload(self) -> None:
        """Bring the record up to date. A bucket that is away is asked again with later events."""
        if self._rank == 0:
            data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self._lines)
            try:
                self._bucket.write(self._key, data.encode("utf-8", "replace"))
            except BucketError as error:
                if error.exit_code != BucketError.exit_code:
                    raise
                self._warn(error)
            self._uploaded = monotonic()

    def _warn(self, error: BucketError) -> None:
        message = f"the record of events is not up to date in the bucket: {error}"
        self._display.event(self._line("warning", {"message": message}))

    def _line(self, kind: str, fields: Mapping[str, object]) -> dict[str, Any]:
        return {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": kind,
            **self._labels,
            "elapsed_s": round(monotonic() - self._started, 3),
            **fields,
        }

    def _tell(self, line: dict[str, Any]) -> None:
        """Show the line, and put it on record."""
        self._display.event(line)
        if self._rank == 0:
            self._lines.append(line)
        if monotonic() - self._uploaded >= UPLOAD_SECONDS:
            self._upload()

    def _earlier(self) -> tuple[list[dict[str, Any]], str | None]:
        """The lines of earlier attempts, or why they can't be read: no reason not to work."""
        try:
            return parse_lines(self._bucket.read(self._key), self._key), None
        except ObjectMissing:
            return [], None
        except InputError as error:
            return [], f"the record of earlier attempts is damaged and begins anew: {error}"
