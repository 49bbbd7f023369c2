"""Where classifiers looked: Grad-CAM maps that `train-cnn` stored, laid over their radiographs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import io
from typing import Any

import numpy as np
import pandas as pd

from mura_jobs.classifier.calls import CALLS, CHOSEN, MAPS
from mura_jobs.job.artifact import Artifact
from mura_jobs.radiographs.packed import Packed
from mura_jobs.report.pictures import Images, Picture, overlay_pairs
from mura_jobs.report.words import number

_TILE = 128


@dataclass(frozen=True)
class Attention:
    """One classifier's pictures, one for each kind of call that it made, and the numbers beside them."""

    arm: str
    pictures: tuple[Picture, ...]
    facts: dict[str, Any]
    """Plain values for `report.json`."""


def attention(arms: Sequence[str], inputs: Mapping[str, Artifact], real: Packed) -> list[Attention]:
    """Pictures of the first seed of each arm that stored maps."""
    places = {arm: f"train-cnn/{arm}/seed-0" for arm in arms}
    return [
        _attention(arm, place, inputs[place], real)
        for arm, place in places.items()
        if MAPS in inputs[place].names
    ]


def _attention(arm: str, place: str, artifact: Artifact, real: Packed) -> Attention:
    chosen = pd.read_parquet(io.BytesIO(artifact.read(CHOSEN)))
    maps: Images = np.load(io.BytesIO(artifact.read(MAPS)))
    images = real.images(pd.Index(real.index["key"]).get_indexer(chosen["key"]))
    pictures = []
    for call in CALLS:
        rows = np.flatnonzero((chosen["call"] == call).to_numpy())
        if len(rows):
            told = [number(chosen["probability"].iloc[row]) for row in rows]
            pictures.append(
                Picture(
                    name=f"attention-{arm}-{call.replace(' ', '-')}.png",
                    data=overlay_pairs(images[rows], maps[rows], _TILE),
                    alt=f"The {len(rows)} surest {call}s of {arm}, each without and with its Grad-CAM map",
                    caption=f"{call.capitalize()}: probability of positive {', '.join(told)}",
                )
            )
    shown = chosen[["key", "label", "call", "probability"]].to_dict("records")
    return Attention(arm, tuple(pictures), {"arm": arm, "classifier": place, "images": shown})
