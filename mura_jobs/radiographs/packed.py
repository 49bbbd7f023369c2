"""The packed data set: `uint8` pictures in memory-mappable shards, and an index with one row per picture.

images-00000-of-00004.npy   uint8 [n, R, R], one grey channel
index.parquet               rows sorted by key; `shard` and `row` say where each picture lies
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self, get_args

import numpy as np
from numpy.typing import NDArray
import pandas as pd

from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.job.config import LABELS, Label, Split
from mura_jobs.job.scratch import require_room

INDEX = "index.parquet"

COLUMNS = ("key", "patient", "study", "body_part", "label", "split", "shard", "row")
"""Columns that every packed data set has. Those of cleaning, or of a generator, follow."""


@dataclass(frozen=True)
class Packed:
    """A packed data set, or the part of one that `where` left."""

    index: pd.DataFrame
    """One row per picture, in the order of `images()`; `COLUMNS` and more."""
    resolution: int
    """R, the side of a picture in pixels."""
    shards: tuple[NDArray[np.uint8], ...]
    """Memory maps of shape (n, R, R)."""

    @classmethod
    def load(cls, artifact: Artifact, folder: Path) -> Self:
        """Fetch a data set into a local folder and map it.

        Raises:
            InputError: the artifact holds no packed data set, or its index and images differ.
        """
        index = read_index(artifact, folder)
        names = [name for name in artifact.names if name.startswith("images-")]
        size = sum(artifact.manifest.objects[name].bytes for name in names)
        require_room(folder, size, f"the packed data set {artifact.prefix}")
        shards = tuple(_mapped(artifact, name, folder) for name in names)
        shapes = {shard.shape[1:] for shard in shards}
        if len(shapes) != 1 or any(shard.dtype != np.uint8 or shard.ndim != 3 for shard in shards):
            raise InputError(
                f"{artifact.prefix}: expected uint8 images [n, R, R] of one size, found {shapes}"
            )
        rows = sum(len(shard) for shard in shards)
        if rows != len(index):
            raise InputError(f"{artifact.prefix}: {len(index):,} rows in {INDEX}, but {rows:,} images")
        sizes = np.array([len(shard) for shard in shards])
        shard, row = index["shard"].to_numpy(), index["row"].to_numpy()
        known = (shard >= 0) & (shard < len(shards))
        fits = known & (row >= 0) & (row < sizes[np.where(known, shard, 0)])
        if not fits.all() or index.duplicated(["shard", "row"]).any():
            raise InputError(f"{artifact.prefix}/{INDEX}: its rows do not point to one image each")
        return cls(index, shapes.pop()[0], shards)

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.index)

    def where(self, *, split: Split | None = None, label: Label | None = None) -> "Packed":
        """The pictures of a split, a label, or both."""
        keep = np.ones(len(self.index), bool)
        if split is not None:
            keep &= (self.index["split"] == split).to_numpy()
        if label is not None:
            keep &= (self.index["label"] == label).to_numpy()
        return Packed(self.index[keep].reset_index(drop=True), self.resolution, self.shards)

    def images(self, rows: NDArray[np.integer] | slice | None = None) -> NDArray[np.uint8]:
        """Pictures, uint8 (n, R, R), of the given rows of `index`; of all rows when none are given."""
        chosen = self.index if rows is None else self.index.iloc[rows]
        images = np.empty((len(chosen), self.resolution, self.resolution), np.uint8)
        shard, row = chosen["shard"].to_numpy(), chosen["row"].to_numpy()
        for number, mapped in enumerate(self.shards):
            here = shard == number
            images[here] = mapped[row[here]]
        return images


def read_index(artifact: Artifact, folder: Path) -> pd.DataFrame:
    """The index of a packed data set, with values that its columns may have.

    Raises:
        InputError: it is no such index.
    """
    where = f"{artifact.prefix}/{INDEX}"
    path = artifact.fetch(INDEX, folder)
    try:
        index = pd.read_parquet(path)
        _require_index(index, where)  # which decodes text only now
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - pyarrow and pandas fail in as many ways as files are damaged
        raise InputError(f"{where}: can't be read as Parquet: {error}") from None
    return index


def _require_index(index: pd.DataFrame, where: str) -> None:
    missing = [column for column in COLUMNS if column not in index]
    if missing:
        raise InputError(f"{where}: has no column {', '.join(missing)}; not a packed data set")
    for column in ("shard", "row"):
        if not pd.api.types.is_integer_dtype(index[column]) or index[column].hasnans:
            raise InputError(f"{where}: {column} holds other values than whole numbers")
    for column, allowed in (("label", LABELS), ("split", get_args(Split))):
        strange = set(index[column].unique()) - set(allowed)
        if strange:
            raise InputError(f"{where}: {column} holds {strange}; expected {', '.join(allowed)}")
    if index["key"].hasnans or not index["key"].is_unique:
        raise InputError(f"{where}: an image has no key, or that of another")


def _mapped(artifact: Artifact, name: str, folder: Path) -> NDArray[np.uint8]:
    path = artifact.fetch(name, folder)
    try:
        mapped: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - a damaged header fails in numpy in as many ways as there are
        raise InputError(f"{artifact.prefix}/{name}: can't be read as an array: {error}") from None
    return mapped


def write_packed(
    draft: Draft,
    index: pd.DataFrame,
    images: Iterable[NDArray[np.uint8]],
    *,
    shard_images: int,
    folder: Path | None = None,
) -> pd.DataFrame:
    """Put a packed data set into a draft; publishing it is the caller's.

    Args:
        draft: where to put it.
        index: one row per picture, sorted by key, with `COLUMNS` except shard and row, which are added here.
        images: the pictures, uint8 (R, R), in the same order; drawn one at a time.
        shard_images: pictures in one shard.
        folder: where a shard is put together; by default the system's for temporary files.

    Returns:
        The index as written.
    """
    assert index["key"].is_monotonic_increasing
    assert index["key"].is_unique
    position = np.arange(len(index))
    written = index.assign(
        shard=(position // shard_images).astype(np.int32), row=(position % shard_images).astype(np.int32)
    )
    written = written[[*COLUMNS, *(name for name in index if name not in COLUMNS)]]
    count = max(-(-len(index) // shard_images), 1)
    stream = iter(images)
    with TemporaryDirectory(dir=folder) as place:
        for number in range(-(-len(index) // shard_images)):
            path = Path(place) / "shard.npy"
            _write_shard(path, stream, min(shard_images, len(index) - number * shard_images))
            draft.put_file(f"images-{number:05d}-of-{count:05d}.npy", path)
    assert next(stream, None) is None
    draft.put(INDEX, parquet_bytes(written))
    return written


def npy_bytes(array: NDArray[np.uint8]) -> bytes:
    """An array in NumPy's format."""
    file = BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def csv_bytes(table: pd.DataFrame) -> bytes:
    """A table as CSV."""
    return table.to_csv(index=False, lineterminator="\n").encode()


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """A table as Parquet."""
    file = BytesIO()
    table.to_parquet(file, index=False)
    return file.getvalue()


def _write_shard(path: Path, images: Iterator[NDArray[np.uint8]], number: int) -> None:
    """The next pictures as one array in NumPy's format, without holding them in memory."""
    first = next(images)
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (number, *first.shape)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(first.tobytes())
        for _ in range(number - 1):
            file.write(next(images).tobytes())
