"""Synthetic radiographs beside real ones, and beside the training radiographs they lie nearest to."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.config import Label
from mura_jobs.job.randomness import numpy_stream
from mura_jobs.radiographs.packed import Packed
from mura_jobs.report.config import ReportConfig
from mura_jobs.report.figures import distances
from mura_jobs.report.pictures import Images, Picture, grid
from mura_jobs.report.statistics import Floats
from mura_jobs.synthetic.gate import nearest, thumbnails

SCORES = ("nearest_train", "train_distance")
"""Columns of a synthetic data set's index that the gates of `synthesize` left."""

_COLUMNS, _TILE, _PAIR_TILE = 6, 128, 192


@dataclass(frozen=True)
class Gallery:
    """The pictures of one label, and the numbers beside them."""

    label: Label
    real: Picture
    fake: Picture
    neighbours: tuple[Picture, ...]
    distances: Picture
    facts: dict[str, Any]
    """Plain values for `report.json`."""


def make_gallery(
    config: ReportConfig, label: Label, real: Packed, synthetic: Packed, artifact: Artifact
) -> Gallery:
    """Choose and draw.

    Args:
        config: how many to show, and the seed of the choice.
        label: whose radiographs.
        real: the real data set, all splits and labels.
        synthetic: the synthetic data set of this label.
        artifact: the synthetic data set's output, which says what the gates did.

    Raises:
        InputError: the synthetic index has no gate scores, or names a training image that does not exist.
    """
    missing = [column for column in SCORES if column not in synthetic.index]
    if missing:
        raise InputError(
            f"{artifact.prefix}: the index has no column {', '.join(missing)}; synthesize it again"
        )
    train, select = real.where(split="train", label=label), real.where(split="select", label=label)
    side = int(artifact.manifest.config["gates"]["side"])
    held_out = nearest(thumbnails(select.images(), side), thumbnails(train.images(), side)).distance.astype(
        np.float64
    )
    to_train = synthetic.index["train_distance"].to_numpy(np.float64)
    summary = artifact.manifest.summary
    nearest_rows = np.argsort(to_train, kind="stable")[: config.neighbours]
    return Gallery(
        label=label,
        real=_grid(config, label, train, "real"),
        fake=_grid(config, label, synthetic, "synthetic"),
        neighbours=tuple(
            _pair(label, number, int(row), synthetic, train)
            for number, row in enumerate(nearest_rows, start=1)
        ),
        distances=_distances(label, to_train, held_out, summary["threshold"]),
        facts={
            "label": label,
            "synthetic": len(synthetic),
            "real_train": len(train),
            "candidates": summary["candidates_used"],
            "rejected": summary["rejected"],
            "threshold": summary["threshold"],
            "median_distance": float(np.median(to_train)),
            "median_distance_held_out": float(np.median(held_out)),
            "nearest": [
                {
                    "synthetic": str(synthetic.index["key"].iloc[row]),
                    "training": str(synthetic.index["nearest_train"].iloc[row]),
                    "distance": float(to_train[row]),
                }
                for row in nearest_rows
            ],
        },
    )


def _grid(config: ReportConfig, label: Label, packed: Packed, kind: str) -> Picture:
    stream = numpy_stream(config.seed, "grid", label, kind)
    rows = np.sort(stream.permutation(len(packed))[: config.grid_images])
    return Picture(
        name=f"{kind}-{label}.png",
        data=grid(packed.images(rows), _COLUMNS, _TILE),
        alt=f"{len(rows)} {kind} radiographs labelled {label}, drawn at random",
        caption=f"{kind.capitalize()}, {label}: {len(rows)} of {len(packed):,}, drawn at random",
    )


def _pair(label: Label, number: int, row: int, synthetic: Packed, train: Packed) -> Picture:
    key = synthetic.index["nearest_train"].iloc[row]
    found = np.flatnonzero((train.index["key"] == key).to_numpy())
    if not len(found):
        raise InputError(
            f"synthesize/{label}: {synthetic.index['key'].iloc[row]} names {key} as its nearest training "
            f"image, and the data set has no such one; run synthesize again on this data set"
        )
    pair: Images = np.concatenate([synthetic.images(np.array([row])), train.images(found)])
    distance = synthetic.index["train_distance"].iloc[row]
    return Picture(
        name=f"nearest-{label}-{number:02d}.png",
        data=grid(pair, 2, _PAIR_TILE),
        alt=f"Synthetic {label} radiograph beside its nearest training radiograph, {key}",
        caption=f"distance {distance:.3f} to {key}",
    )


def _distances(label: Label, to_train: Floats, held_out: Floats, threshold: float) -> Picture:
    return Picture(
        name=f"distances-{label}.svg",
        data=distances(to_train, held_out, threshold),
        alt=(
            f"Distribution of distances to the nearest training image for synthetic {label} radiographs "
            f"(median {np.median(to_train):.3f}) and held-out real ones (median {np.median(held_out):.3f}); "
            f"the gate's threshold is {threshold:.3f}"
        ),
        caption=f"{label.capitalize()}: distances of synthetic and of held-out real radiographs",
    )
