"""The parts of `preprocess` made one data set: sorted, searched for duplicates, packed and summed up."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from io import BytesIO
import os
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray
import pandas as pd

from mura_jobs.job.artifact import Artifact
from mura_jobs.job.job import Job
from mura_jobs.job.scratch import require_room
from mura_jobs.radiographs.config import PreprocessConfig
from mura_jobs.radiographs.dataset import count
from mura_jobs.radiographs.leaks import DUPLICATES, drop_duplicates, find_duplicates, require_labels
from mura_jobs.radiographs.packed import INDEX, csv_bytes, write_packed
from mura_jobs.radiographs.preview import PAIRS, preview
from mura_jobs.radiographs.sketch import SIDE
from mura_jobs.radiographs.unreadable import UNREADABLE, require_readable

PREVIEW = "preview.png"

# Objects of a part: pictures and sketches in the order of its index, and raw thumbnails for the preview.
PIXELS, SKETCHES, BEFORE = "images.raw", "sketches.raw", "before.npy"
FETCHED = (PIXELS, SKETCHES, BEFORE, INDEX)
"""Those that are fetched to the scratch folder."""

NAMED = ("key", "patient", "study", "body_part", "label", "split")
"""Columns that say which image it is and what it is for."""


def merge(config: PreprocessConfig, job: Job, parts: Sequence[Artifact]) -> dict[str, Any]:
    """Put the data set made of all parts into the job's output, and sum it up.

    Pictures are read one at a time: what is held in memory are the tables.

    Raises:
        InputError: too many images are unreadable, or no image of a split and label is left.
    """
    job.events.emit("merging", parts=len(parts))
    shard = config.shard_images * config.resolution**2
    fetched = sum(part.manifest.objects[name].bytes for part in parts for name in FETCHED)
    require_room(job.scratch, fetched + min(shard, fetched), f"putting {len(parts)} parts together")
    folders = [job.scratch / f"part-{number}" for number in range(len(parts))]
    unreadable = _concat([pd.read_csv(BytesIO(part.read(UNREADABLE)), dtype=str) for part in parts])
    unreadable = unreadable.sort_values("key", ignore_index=True)
    whole, before = _tables(parts, folders)
    images = pd.concat([whole["split"], unreadable["split"]]).value_counts().to_dict()
    require_readable(unreadable, images, config.unreadable_share, job.bucket.url)
    with ExitStack() as opened:

        def pictures(name: str, side: int) -> Scattered:
            paths = [part.fetch(name, to) for part, to in zip(parts, folders, strict=True)]
            return Scattered([opened.enter_context(path.open("rb")) for path in paths], whole, side)

        pixels = pictures(PIXELS, config.resolution)
        pairs = find_duplicates(whole, pictures(SKETCHES, SIDE))
        if config.duplicates == "drop":
            pairs = drop_duplicates(pairs)
        if len(pairs):
            job.events.emit(
                "duplicates", pairs=len(pairs), first=pairs.iloc[0][["key", "other_key"]].tolist()
            )
        kept = np.flatnonzero(~whole["key"].isin(set(pairs["dropped"])))
        index = whole.iloc[kept].drop(columns=["_part", "_row", "previewed"]).reset_index(drop=True)
        require_labels(whole, index)
        write_packed(
            job.output,
            index,
            _stoppable(job, (pixels[number] for number in kept.tolist())),
            shard_images=config.shard_images,
            folder=job.scratch,
        )
        doubtful = whole.sort_values(["confidence", "key"]).index[:PAIRS]
        pairs_shown = [
            (_caption(whole.loc[number]), before[str(whole.at[number, "key"])], pixels[number])
            for number in doubtful.tolist()
            if number in kept
        ]
    job.output.put(PREVIEW, preview(pairs_shown, index["raw_brightness"], index["brightness"]))
    job.output.put(UNREADABLE, csv_bytes(unreadable))
    job.output.put(DUPLICATES, csv_bytes(pairs))
    summary = _summary(config, index, unreadable, pairs) | {
        "data_set": parts[0].manifest.summary["data_set"],
        "warnings": parts[0].manifest.summary["warnings"],
        "ignored_files": parts[0].manifest.summary["ignored"],
    }
    shortly = ("images", "inverted", "straightened", "cropped", "duplicates")
    job.events.emit("cleaned", **{name: summary[name] for name in shortly}, unreadable=len(unreadable))
    return summary


class Scattered(Sequence[NDArray[np.uint8]]):
    """Square pictures that lie in several files, in the order of an index. Each is read when it is asked for.

    Files are read, not mapped, so that a cgroup's memory does not fill with their pages.
    """

    def __init__(self, files: Sequence[BinaryIO], index: pd.DataFrame, side: int) -> None:
        """Take each picture's file from the column `_part`, and its place there from `_row`."""
        self._files = files
        self._part, self._row = index["_part"].to_numpy(), index["_row"].to_numpy()
        self._side = side

    def __len__(self) -> int:
        """How many pictures."""
        return len(self._part)

    @overload
    def __getitem__(self, number: int) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, number: slice) -> list[NDArray[np.uint8]]: ...
    def __getitem__(self, number: int | slice) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        """One picture, uint8 (side, side), or several."""
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        size = self._side**2
        file = self._files[self._part[number]]
        data = os.pread(file.fileno(), size, int(self._row[number]) * size)
        return np.frombuffer(data, np.uint8).reshape(self._side, self._side)


def _tables(
    parts: Sequence[Artifact], folders: Sequence[Path]
) -> tuple[pd.DataFrame, dict[str, NDArray[np.uint8]]]:
    """The index of all parts, sorted by key, and the raw thumbnails that they kept."""
    indexes = []
    before: dict[str, NDArray[np.uint8]] = {}
    for number, (part, folder) in enumerate(zip(parts, folders, strict=True)):
        index = pd.read_parquet(part.fetch(INDEX, folder))
        thumbnails = np.load(part.fetch(BEFORE, folder))
        before |= dict(zip(index.loc[index["previewed"], "key"], thumbnails, strict=True))
        indexes.append(index.assign(_part=number, _row=np.arange(len(index))))
    return _concat(indexes).sort_values("key", ignore_index=True), before


def _concat(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table; a share without rows has no types either, and would change the others'."""
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def _stoppable(job: Job, pictures: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    for picture in pictures:
        job.shutdown.check()
        yield picture


def _summary(
    config: PreprocessConfig, index: pd.DataFrame, unreadable: pd.DataFrame, pairs: pd.DataFrame
) -> dict[str, Any]:
    return {
        "resolution": config.resolution,
        "images": len(index),
        "counts": count(zip(index["body_part"], index["split"], index["label"], strict=True)),
        "patients": {split: int(n) for split, n in index.groupby("split")["patient"].nunique().items()},
        "studies": {split: int(n) for split, n in index.groupby("split")["study"].nunique().items()},
        "inverted": int(index["inverted"].sum()),
        "straightened": int((index["rotation"] != 0).sum()),
        "cropped": int(_is_cropped(index).sum()),
        "with_markers": int((index["markers"] > 0).sum()),
        "unreadable": dict(sorted(zip(unreadable["key"], unreadable["problem"], strict=True))),
        "duplicates": {
            "pairs": len(pairs),
            "across_splits": int((pairs["split"] != pairs["other_split"]).sum()),
            "with_test": int(((pairs["split"] == "test") ^ (pairs["other_split"] == "test")).sum()),
            "labels_differ": int((pairs["label"] != pairs["other_label"]).sum()),
            "dropped": len(set(pairs["dropped"]) - {""}),
        },
    }


def _is_cropped(row: Any) -> Any:  # noqa: ANN401 - one row of the index, or the whole index
    return (row["field_width"] < row["raw_width"]) | (row["field_height"] < row["raw_height"])


def _caption(row: pd.Series) -> str:
    done = [f"turned {row['rotation']:+.1f}"] if row["rotation"] else []
    done += ["cropped"] if _is_cropped(row) else []
    done += ["inverted"] if row["inverted"] else []
    done += [f"markers {row['markers']}"] if row["markers"] else []
    name = "/".join(row["key"].split("/")[-3:])[-42:]
    return f"{row['confidence']:.2f} {', '.join(done)}\n{name}"
