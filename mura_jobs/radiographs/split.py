"""Which patients are kept apart for early stopping, gates and thresholds."""

from collections.abc import Iterable
from dataclasses import replace

from mura_jobs.errors import InputError
from mura_jobs.job.randomness import stream_key
from mura_jobs.radiographs.dataset import Radiograph


def is_selected(patient: str, fraction: float, seed: int) -> bool:
    """Whether a training patient belongs to `select`: true for `fraction` of all names.

    It depends on seed and name alone, so adding patients to a data set moves no one else. Chance has nothing
    to do with the label, so the labels are represented as they are in `train`.
    """
    return stream_key(seed, "select", patient) < fraction * 2.0**128


def assign_splits(radiographs: Iterable[Radiograph], fraction: float, seed: int) -> tuple[Radiograph, ...]:
    """Move some of the training patients, with all their images, to `select`.

    A data set that brings a `select` of its own keeps it.

    Raises:
        InputError: a split lacks a label, so nothing could be trained, selected or tested.
    """
    given = tuple(radiographs)
    if not any(r.split == "select" for r in given):
        given = tuple(
            replace(r, split="select") if r.split == "train" and is_selected(r.patient, fraction, seed) else r
            for r in given
        )
    present = {(r.split, r.label) for r in given}
    for split in ("train", "select", "test"):
        for label in ("positive", "negative"):
            if (split, label) not in present:
                raise InputError(
                    f"the split {split} has no {label} image; "
                    + (
                        "raise select_fraction, use another seed or add patients"
                        if split == "select"
                        else "the data set must have both labels in its training and its test part"
                    )
                )
    return given
