"""The stage `preprocess`: raw radiographs in, a packed data set out, in as many shares as the Job has."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd

from mura_jobs.job.artifact import Draft
from mura_jobs.job.job import Job
from mura_jobs.job.parts import run_in_parts
from mura_jobs.job.scratch import require_room
from mura_jobs.radiographs.cleaning.clean import Record
from mura_jobs.radiographs.cleaning.file import CleanedFile, UnreadableFile, clean_file
from mura_jobs.radiographs.config import PreprocessConfig
from mura_jobs.radiographs.dataset import Radiograph, count, flat
from mura_jobs.radiographs.files import Files
from mura_jobs.radiographs.merge import BEFORE, NAMED, PIXELS, SKETCHES, merge
from mura_jobs.radiographs.mura import official_mismatches
from mura_jobs.radiographs.packed import INDEX, csv_bytes, npy_bytes, parquet_bytes
from mura_jobs.radiographs.pool import parallel_map
from mura_jobs.radiographs.preview import Doubtful
from mura_jobs.radiographs.sketch import SIDE
from mura_jobs.radiographs.source import open_source
from mura_jobs.radiographs.split import assign_splits
from mura_jobs.radiographs.unreadable import UNREADABLE, require_readable

Assign = Callable[[Sequence[Radiograph]], tuple[Radiograph, ...]]
"""Decides what each image may be used for: radiographs with the split they were shipped with in, those to be
packed with their final split out."""

_CHUNK = 1024  # rows kept as Python objects, which take ten times a table's memory


def run(config: PreprocessConfig, job: Job) -> None:
    """Clean this share's radiographs, and publish the data set once all shares are done."""
    pack(config, job, partial(assign_splits, fraction=config.select_fraction, seed=config.seed))


def pack(config: PreprocessConfig, job: Job, assign: Assign) -> None:
    """The same with splits of the caller's own."""
    run_in_parts(
        job, lambda part: _make_part(config, job, part, assign), lambda parts: merge(config, job, parts)
    )


def share_of(patient: str, shares: int) -> int:
    """Which of the shares a patient belongs to, 0 … shares − 1."""
    return int.from_bytes(blake2b(patient.encode(), digest_size=8).digest(), "little") % shares


def _make_part(config: PreprocessConfig, job: Job, part: Draft, assign: Assign) -> dict[str, Any]:
    files, data = open_source(job.bucket, config.source, config.body_parts)
    with files:
        radiographs = assign(data.radiographs)
        warnings = list(official_mismatches(data))
        job.events.emit(
            "counts", data_set=data.name, images=len(radiographs), **flat(count(r.kind for r in radiographs))
        )
        for warning in warnings:
            job.events.emit("warning", message=warning)
        if data.ignored:
            job.events.emit("ignored", files=len(data.ignored), first=data.ignored[0])
        _clean_share(config, job, part, files, radiographs)
    return {"data_set": data.name, "warnings": warnings, "ignored": len(data.ignored)}


def _clean_share(
    config: PreprocessConfig, job: Job, part: Draft, files: Files, radiographs: Sequence[Radiograph]
) -> None:
    """Clean this share of all radiographs and put it into its part."""
    images = Counter[str](r.split for r in radiographs)
    mine = [r for r in radiographs if share_of(r.patient, job.count) == job.index]
    by_path = {r.path: r for r in mine}
    require_room(
        job.scratch, len(mine) * (config.resolution**2 + SIDE**2), f"cleaning {len(mine):,} radiographs"
    )
    function = partial(clean_file, resolution=config.resolution, config=config.cleaning)
    index = _Rows([*NAMED, "raw_sha256", "photometric", *(field.name for field in fields(Record))])
    unreadable = _Rows([*NAMED, "bytes", "sha256", "problem"])
    doubtful = Doubtful()
    pixels_path, sketches_path = job.scratch / PIXELS, job.scratch / SKETCHES
    with (
        pixels_path.open("wb") as pixels,
        sketches_path.open("wb") as sketches,
        job.events.progress(len(mine), "img", "clean") as bar,
    ):
        for done in parallel_map(function, files.read_all(by_path), size=lambda file: files.sizes[file[0]]):
            radiograph = by_path[done.path]
            named = {name: getattr(radiograph, name) for name in NAMED}
            if isinstance(done, UnreadableFile):
                job.events.emit("unreadable", key=radiograph.key, problem=done.problem)
                facts = {"bytes": files.sizes[done.path], "sha256": done.digest, "problem": done.problem}
                unreadable.add(named | facts)
                require_readable(unreadable.table(), images, config.unreadable_share, files.where)
            else:
                pixels.write(done.pixels.tobytes())
                sketches.write(done.sketch.tobytes())
                index.add(named | _facts(done))
                doubtful.offer(radiograph.key, done.record.confidence, done.before)
            bar.advance()
            job.shutdown.check()
    for name, path in ((PIXELS, pixels_path), (SKETCHES, sketches_path)):
        part.put_file(name, path)
        path.unlink()  # the merge fetches its own copy, and there is no room for two
    table, before = index.table(), doubtful.thumbnails()
    thumbnails = [before[key] for key in table["key"] if key in before]
    part.put(INDEX, parquet_bytes(table.assign(previewed=table["key"].isin(before))))
    part.put(BEFORE, npy_bytes(np.stack(thumbnails) if thumbnails else np.empty((0, 1, 1), np.uint8)))
    part.put(UNREADABLE, csv_bytes(unreadable.table()))


def _facts(done: CleanedFile) -> dict[str, Any]:
    stated = {"raw_sha256": done.digest, "photometric": done.photometric or "unstated"}
    return stated | asdict(done.record)


class _Rows:
    """A table that grows by rows, which are brought into columns a chunk at a time."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._columns = list(columns)
        self._tables: list[pd.DataFrame] = []
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        """One more."""
        self._rows.append(row)
        if len(self._rows) == _CHUNK:
            self._close_chunk()

    def table(self) -> pd.DataFrame:
        """All so far."""
        if self._rows or not self._tables:
            self._close_chunk()
        return pd.concat(self._tables, ignore_index=True)

    def _close_chunk(self) -> None:
        self._tables.append(pd.DataFrame(self._rows, columns=self._columns))
        self._rows = []
