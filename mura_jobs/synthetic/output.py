"""A synthetic data set as every stage that makes one writes it."""

import numpy as np
from numpy.typing import NDArray
import pandas as pd
import torch

from mura_jobs.gan.pictures import square_grid_png
from mura_jobs.job.config import Label
from mura_jobs.job.job import Job
from mura_jobs.radiographs.packed import write_packed
from mura_jobs.synthetic.screen import Screening


def made_index(names: list[str], label: Label, body_parts: list[str]) -> pd.DataFrame:
    """Rows of images that show no patient: each is a patient, study and training image of its own.

    Args:
        names: of the patients, ascending, each beginning with "synthetic-".
        label: of all of them.
        body_parts: of the radiographs that they imitate.
    """
    return pd.DataFrame(
        {
            "key": [f"synthetic/{label}/{name}.png" for name in names],
            "patient": names,
            "study": [f"{name}/study1" for name in names],
            "body_part": "+".join(body_parts),
            "label": label,
            "split": "train",
        }
    )


def write_screened(
    job: Job,
    screening: Screening,
    index: pd.DataFrame,
    images: NDArray[np.uint8],
    *,
    shard_images: int,
    grid_images: int,
) -> None:
    """Put the kept candidates, their scores beside their provenance, and a grid of the first of them.

    Args:
        job: whose output it is.
        screening: who is kept.
        index: provenance of the kept ones.
        images: all candidates, uint8 (N, R, R).
        shard_images: images in one `.npy` file.
        grid_images: images in the grid.
    """
    scored = pd.concat([index, screening.scores], axis=1)
    write_packed(job.output, scored, images[screening.kept], shard_images=shard_images)
    shown = torch.from_numpy(images[screening.kept[:grid_images], None]) / 127.5 - 1
    job.output.put("grids/fakes.png", square_grid_png(shown))
    job.events.emit("gated", images=len(scored), **screening.facts["rejected"])
