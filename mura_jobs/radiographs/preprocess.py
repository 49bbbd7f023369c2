"""The stage `preprocess`: raw radiographs in, a packed data set out, in as many shares as the Job has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pandas as pd

from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.job.job import Job
from mura_jobs.job.parts import run_in_parts
from mura_jobs.radiographs.cleaning.clean import Record
from mura_jobs.radiographs.cleaning.file import clean_file
from mura_jobs.radiographs.config import PreprocessConfig
from mura_jobs.radiographs.dataset import Radiograph, count, flat
from mura_jobs.radiographs.files import Files
from mura_jobs.radiographs.mura import official_mismatches
from mura_jobs.radiographs.packed import INDEX, npy_bytes, parquet_bytes, write_packed
from mura_jobs.radiographs.pool import parallel_map
from mura_jobs.radiographs.preview import PAIRS, contact_sheet
from mura_jobs.radiographs.source import open_source
from mura_jobs.radiographs.split import assign_splits

PREVIEW = "preview.png"

# Objects of a part: pictures in the order of its index, and raw thumbnails of its candidates for the preview.
_PIXELS, _BEFORE = "images.raw", "before.npy"


Assign = Callable[[Sequence[Radiograph]], tuple[Radiograph, ...]]
"""Decides what each image may be used for: radiographs with the split they were shipped with in, those to be
packed with their final split out."""


def run(config: PreprocessConfig, job: Job) -> None:
    """Clean this share's radiographs, and publish the data set once all shares are done."""
    pack(config, job, partial(assign_splits, fraction=config.select_fraction, seed=config.seed))


def pack(config: PreprocessConfig, job: Job, assign: Assign) -> None:
    """The same with splits of the caller's own."""
    run_in_parts(
        job, lambda part: _make_part(config, job, part, assign), lambda parts: _merge(config, job, parts)
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
        mine = [r for r in radiographs if share_of(r.patient, job.count) == job.index]
        rows, before, unreadable = _clean_all(config, job, part, files, mine)
    part.put(INDEX, parquet_bytes(rows))
    part.put(_BEFORE, npy_bytes(before))
    return {
        "data_set": data.name,
        "unreadable": unreadable,
        "warnings": warnings,
        "ignored": len(data.ignored),
    }


def _clean_all(
    config: PreprocessConfig, job: Job, part: Draft, files: Files, mine: list[Radiograph]
) -> tuple[pd.DataFrame, NDArray[np.uint8], dict[str, str]]:
    """Clean and store a share's pictures: index, raw thumbnails for the preview, and what was unreadable."""
    by_path = {r.path: r for r in mine}
    previewed = {r.path for r in sorted(mine, key=lambda r: _preview_rank(r.key))[:PAIRS]}
    work = ((path, data, path in previewed) for path, data in files.read_all(by_path))
    function = partial(clean_file, resolution=config.resolution, config=config.cleaning)
    rows: list[dict[str, Any]] = []
    before: dict[str, NDArray[np.uint8]] = {}
    unreadable: dict[str, str] = {}
    pixels_path = job.scratch / _PIXELS
    with pixels_path.open("wb") as store, job.events.progress(len(mine), "img", "clean") as bar:
        for done in parallel_map(function, work):
            radiograph = by_path[done.path]
            if done.pixels is None or done.record is None:
                unreadable[radiograph.key] = done.problem
                if config.unreadable_share == 0:
                    _require_readable(config, unreadable, len(mine), files.where)
            else:
                store.write(done.pixels.tobytes())
                rows.append(_index_row(radiograph, done.digest, done.record))
            if done.before is not None:
                before[radiograph.key] = done.before
            bar.advance()
            job.shutdown.check()
    part.put_file(_PIXELS, pixels_path)
    index = pd.DataFrame(rows, columns=_index_columns())
    thumbnails = [before[key] for key in index["key"] if key in before]
    index["previewed"] = index["key"].isin(before)
    return index, np.stack(thumbnails) if thumbnails else np.empty((0, 1, 1), np.uint8), unreadable


def _merge(config: PreprocessConfig, job: Job, parts: Sequence[Artifact]) -> dict[str, Any]:
    indexes, pixels = [], []
    before: dict[str, NDArray[np.uint8]] = {}
    unreadable: dict[str, str] = {}
    for number, part in enumerate(parts):
        folder = job.scratch / f"part-{number}"
        index = pd.read_parquet(part.fetch(INDEX, folder))
        thumbnails = np.load(part.fetch(_BEFORE, folder))
        before |= dict(zip(index.loc[index["previewed"], "key"], thumbnails, strict=True))
        pixels.append(_map(part.fetch(_PIXELS, folder), len(index), config.resolution))
        indexes.append(index.assign(_part=number, _row=np.arange(len(index))))
        unreadable |= part.manifest.summary["unreadable"]
    # A share without images has no types either, and would change the others'.
    whole = pd.concat([index for index in indexes if len(index)] or indexes[:1], ignore_index=True)
    whole = whole.sort_values("key", ignore_index=True)
    _require_readable(config, unreadable, len(whole) + len(unreadable), job.bucket.url)
    place = {
        key: (part, row) for key, part, row in zip(whole["key"], whole["_part"], whole["_row"], strict=True)
    }

    def picture(key: str) -> NDArray[np.uint8]:
        part, row = place[key]
        return np.asarray(pixels[part][row])

    index = whole.drop(columns=["_part", "_row", "previewed"])
    write_packed(job.output, index, map(picture, index["key"]), shard_images=config.shard_images)
    shown = index[index["key"].isin(sorted(before, key=_preview_rank)[:PAIRS])]
    captions = [_caption(row) for _, row in shown.iterrows()]
    pairs = [
        (caption, before[key], picture(key)) for caption, key in zip(captions, shown["key"], strict=True)
    ]
    job.output.put(PREVIEW, contact_sheet(pairs))
    summary = {
        "data_set": parts[0].manifest.summary["data_set"],
        "resolution": config.resolution,
        "images": len(index),
        "counts": count(zip(index["body_part"], index["split"], index["label"], strict=True)),
        "patients": {split: int(n) for split, n in index.groupby("split")["patient"].nunique().items()},
        "studies": {split: int(n) for split, n in index.groupby("split")["study"].nunique().items()},
        "inverted": int(index["inverted"].sum()),
        "straightened": int((index["rotation"] != 0).sum()),
        "cropped": int(_is_cropped(index).sum()),
        "unreadable": dict(sorted(unreadable.items())),
        "warnings": parts[0].manifest.summary["warnings"],
        "ignored_files": parts[0].manifest.summary["ignored"],
    }
    job.events.emit(
        "cleaned",
        **{name: summary[name] for name in ("images", "inverted", "straightened", "cropped")},
        unreadable=len(unreadable),
    )
    return summary


def _index_row(radiograph: Radiograph, digest: str, record: Record) -> dict[str, Any]:
    named = {name: getattr(radiograph, name) for name in _NAMED}
    return named | {"raw_sha256": digest} | asdict(record)


_NAMED = ("key", "patient", "study", "body_part", "label", "split")


def _index_columns() -> list[str]:
    return [*_NAMED, "raw_sha256", *(field.name for field in fields(Record))]


def _map(path: Path, images: int, resolution: int) -> NDArray[np.uint8]:
    if images == 0:  # an empty file can't be mapped
        return np.empty((0, resolution, resolution), np.uint8)
    return np.memmap(path, np.uint8, "r", shape=(images, resolution, resolution))


def _require_readable(
    config: PreprocessConfig, unreadable: Mapping[str, str], images: int, where: str
) -> None:
    """Check that no more images are unreadable than allowed, and not all.

    Raises:
        InputError: naming the first of them and what is wrong with it.
    """
    if unreadable and (len(unreadable) > config.unreadable_share * images or len(unreadable) == images):
        key, problem = min(unreadable.items())
        raise InputError(
            f"{where}: {key} can't be read: {problem}; {len(unreadable)} of {images:,} images are "
            f"unreadable, and unreadable_share allows {config.unreadable_share:g}. Replace the file, or take "
            "it off the tables"
        )


def _is_cropped(row: Any) -> Any:  # noqa: ANN401 - one row of the index, or the whole index
    return (row["field_width"] < row["raw_width"]) | (row["field_height"] < row["raw_height"])


def _preview_rank(key: str) -> bytes:
    """Order in which pictures are shown: a fair sample that doesn't depend on the number of shares."""
    return blake2b(key.encode(), digest_size=8).digest()


def _caption(row: pd.Series) -> str:
    done = [f"turned {row['rotation']:+.1f}"] if row["rotation"] else []
    done += (
        ["cropped"]
        if row["field_width"] < row["raw_width"] or row["field_height"] < row["raw_height"]
        else []
    )
    done += ["inverted"] if row["inverted"] else []
    return f"{row['label']} {', '.join(done)}"
