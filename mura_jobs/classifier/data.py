"""What an arm trains on: which images, how often each, and in which order."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
import pandas as pd
import torch
from torch import Tensor

from mura_jobs.classifier.arms import Arm
from mura_jobs.errors import InputError
from mura_jobs.job.config import LABELS, Label
from mura_jobs.job.randomness import numpy_stream
from mura_jobs.radiographs.packed import Packed

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Composition:
    """Rows of the real training images and of each label's synthetic ones."""

    real: Rows
    """Real images, each once."""
    copies: Rows
    """Real images to be taken once more, as often as they are named."""
    synthetic: Mapping[Label, Rows]
    """Synthetic images of each label."""


@dataclass(frozen=True)
class TrainingSet:
    """An arm's images in memory. Copies are rows named twice, not pixels kept twice."""

    images: Tensor
    """uint8, shape (N, R, R), on the device."""
    positive: Tensor
    """1.0 for positive, else 0.0, shape (N,), on the device."""
    rows: Rows
    """What one pass goes over, shape (M,)."""
    counts: Mapping[str, int]
    """How many of the M are real, copies, synthetic, positive, negative."""

    def batch(self, seed: int, step: int, batch: int) -> Rows:
        """The images of a step, shape (batch,): passes follow each other, each in an order of its own."""
        size = len(self.rows)
        start, end = step * batch, (step + 1) * batch
        passes = range(start // size, (end - 1) // size + 1)
        order = np.concatenate(
            [numpy_stream(seed, "order", number).permutation(self.rows) for number in passes]
        )
        first = passes[0] * size
        return order[start - first : end - first]


def compose(arm: Arm, seed: int, real: pd.DataFrame, synthetic: Mapping[Label, pd.DataFrame]) -> Composition:
    """Choose an arm's images.

    Real patients and synthetic images are taken from the front of a random order that depends on the seed
    alone, so that of two arms of a seed the smaller one's are among the larger one's.

    Args:
        arm: what to choose.
        seed: of the choice.
        real: index of the real data set's split `train`.
        synthetic: index of the synthetic images of each label.

    Raises:
        InputError: a label has no real image, or too few synthetic ones.
    """
    chosen = _of_patients(arm.fraction, seed, real)
    labels = real["label"].to_numpy()
    real_rows: dict[Label, Rows] = {label: chosen[labels[chosen] == label] for label in LABELS}
    for label, rows in real_rows.items():
        if not len(rows):
            raise InputError(
                f"arm {arm.name}: its share of the training patients has no {label} image; both labels are "
                f"needed, so take a larger share or more data"
            )
    copies: list[Rows] = [np.empty(0, np.int64)]
    fakes: dict[Label, Rows] = {}
    for label, rows in real_rows.items():
        extra = arm.extra_images(len(rows))
        if arm.has_synthetic:
            found = len(synthetic[label])
            if found < extra:
                raise InputError(
                    f"arm {arm.name} takes {extra} synthetic {label} images, but synthesize/{label} holds "
                    f"{found}; raise synthesize.amount"
                )
            fakes[label] = np.sort(numpy_stream(seed, "synthetic", label).permutation(found)[:extra])
        else:
            copies.append(np.resize(numpy_stream(seed, "copies", label).permutation(rows), extra))
    return Composition(
        real=chosen if arm.has_real else np.empty(0, np.int64), copies=np.concatenate(copies), synthetic=fakes
    )


def load(
    composition: Composition, real: Packed, synthetic: Mapping[Label, Packed], device: str
) -> TrainingSet:
    """Bring an arm's images into memory.

    Raises:
        InputError: synthetic images have another resolution than real ones, or another label than theirs.
    """
    assert set(real.index["split"]) == {"train"}
    images, labels = [real.images(composition.real)], [real.index["label"].to_numpy()[composition.real]]
    for label, rows in composition.synthetic.items():
        packed = synthetic[label]
        _check(label, packed, real.resolution)
        images.append(packed.images(rows))
        labels.append(packed.index["label"].to_numpy()[rows])
    positive = np.concatenate(labels) == "positive"
    # rows of `images`, of which the real ones come first and in the order of composition.real
    rows = np.concatenate([np.arange(len(positive)), np.searchsorted(composition.real, composition.copies)])
    counts = {
        "real": len(composition.real),
        "copies": len(composition.copies),
        "synthetic": sum(len(rows) for rows in composition.synthetic.values()),
        "positive": int(positive[rows].sum()),
        "negative": int((~positive[rows]).sum()),
    }
    return TrainingSet(
        images=torch.from_numpy(np.concatenate(images)).to(device),
        positive=torch.from_numpy(positive.astype(np.float32)).to(device),
        rows=rows,
        counts=counts,
    )


def _of_patients(fraction: float, seed: int, real: pd.DataFrame) -> Rows:
    """Rows of the images of a share of the patients, at least one."""
    patients = np.sort(real["patient"].astype(str).unique())
    order = numpy_stream(seed, "patients").permutation(len(patients))
    taken = patients[order[: max(1, round(fraction * len(patients)))]]
    return np.flatnonzero(real["patient"].astype(str).isin(taken).to_numpy()).astype(np.int64)


def _check(label: Label, packed: Packed, resolution: int) -> None:
    if packed.resolution != resolution:
        raise InputError(
            f"synthesize/{label} has {packed.resolution}² pixels, the real images {resolution}²; train the "
            f"generator at their resolution"
        )
    found = sorted(set(packed.index["label"]) | set(packed.index["split"]))
    if found != sorted([label, "train"]):
        raise InputError(
            f"synthesize/{label} holds {', '.join(found)} images; expected {label} and train only"
        )
