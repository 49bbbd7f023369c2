"""The stage `import-grid`: a picture with many generated images side by side in, a packed data set out."""

from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mura_jobs.errors import InputError
from mura_jobs.job.job import Job
from mura_jobs.radiographs.cleaning.shape import quantise, resize, sharpen
from mura_jobs.radiographs.decode import Grey, Unreadable, decode
from mura_jobs.radiographs.packed import Packed
from mura_jobs.synthetic.config import ImportGridConfig
from mura_jobs.synthetic.output import made_index, write_screened
from mura_jobs.synthetic.screen import screen_in


def run(config: ImportGridConfig, job: Job) -> None:
    """Cut, gate and publish; the output is what `synthesize` would have made of the label.

    Raises:
        InputError: the picture can't be read or cut as told, a tile is empty, or too few tiles pass.
    """
    source = config.source_of(config.label)
    data = _read(source, job)
    try:
        grey = decode(data).grey
    except Unreadable as error:
        raise InputError(f"{source}: {error}") from None
    real = Packed.load(job.inputs["preprocess"], job.scratch / "real")
    tiles = cut(source, grey, config.rows, config.columns, config.images)
    side = len(tiles[0])
    if side < real.resolution:
        raise InputError(
            f"{source}: tiles of {side}² pixels, but the data set has {real.resolution}²; enlarging "
            f"adds nothing real, so preprocess at {side}² or less"
        )
    shrunk = (quantise(resize(tile, (real.resolution, real.resolution))) for tile in tiles)
    images = np.stack([sharpen(tile, config.sharpen) for tile in shrunk])
    _require_pictures(source, images, config.columns)
    screening = screen_in(job, config.gates, images, config.label, real, wanted=None)
    number = screening.kept
    names = [f"synthetic-{config.label}-{tile:07d}" for tile in number]
    trained = real.where(split="train", label=config.label).index
    digest = sha256(data).hexdigest()
    index = made_index(names, config.label, sorted(set(trained["body_part"]))).assign(
        source=source,
        source_sha256=digest,
        number=number,
        tile_row=number // config.columns,
        tile_column=number % config.columns,
        tile_side=side,
    )
    write_screened(
        job, screening, index, images, shard_images=config.shard_images, grid_images=config.grid_images
    )
    job.output.publish(
        {
            "images": len(index),
            "resolution": real.resolution,
            **screening.facts,
            "source": source,
            "source_sha256": digest,
        }
    )


def cut(name: str, grey: Grey, rows: int, columns: int, images: int | None) -> list[Grey]:
    """The tiles of a grid in reading order.

    Args:
        name: of the picture, for messages.
        grey: the picture, (height, width).
        rows: of tiles.
        columns: of tiles.
        images: how many tiles hold an image; None for all.

    Raises:
        InputError: the picture can't be divided into so many square tiles.
    """
    height, width = grey.shape
    if height % rows or width % columns or height // rows != width // columns:
        raise InputError(
            f"{name}: {width} × {height} pixels are not {columns} × {rows} square tiles: each would have "
            f"{width / columns:g} × {height / rows:g} pixels; give its own --columns and --rows"
        )
    if images is not None and images > rows * columns:
        raise InputError(f"{name}: {columns} × {rows} tiles hold no {images} images; lower --images")
    side = height // rows
    tiles = grey.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)
    return list(tiles[:images])


def _read(source: str, job: Job) -> bytes:
    if not source.startswith("/"):
        return job.bucket.read(source)
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise InputError(f"import-grid.source: {source} can't be read: {error.strerror}") from None


def _require_pictures(source: str, images: NDArray[np.uint8], columns: int) -> None:
    """Grids that were not filled end in tiles of one grey."""
    blank = np.flatnonzero(images.min(axis=(1, 2)) == images.max(axis=(1, 2)))
    if len(blank):
        tile = int(blank[0])
        raise InputError(
            f"{source}: {len(blank)} tiles are empty, the first in row {tile // columns}, "
            f"column {tile % columns} (from 0); if they end the grid, say how many images it holds: "
            f"--images {tile}"
        )
