"""A labelled data set before any picture is decoded: which radiographs there are, and where."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mura_jobs.errors import InputError
from mura_jobs.job.config import Label, Split


@dataclass(frozen=True, order=True, slots=True)
class Radiograph:
    """One labelled picture of a data set."""

    key: str
    """Its name in the data set: the path that the data set's own tables give it."""
    path: str
    """Where its file lies among the data set's files."""
    patient: str
    study: str
    """Unique in the data set: "XR_SHOULDER/patient00001/study1"."""
    body_part: str
    label: Label
    split: Split
    """As shipped: MURA knows `train` and `valid`, which is `test` here."""

    @property
    def kind(self) -> tuple[str, str, str]:
        """What `count` counts by: body part, split and label."""
        return self.body_part, self.split, self.label


@dataclass(frozen=True)
class DataSet:
    """What a data set's tables say, checked against its files."""

    name: str
    radiographs: tuple[Radiograph, ...]
    """Sorted by key."""
    ignored: tuple[str, ...]
    """Files that are no part of the data set, such as an operating system's."""
    tables: tuple[str, ...]
    """Files that say all this."""


Counts = dict[str, dict[str, dict[str, int]]]
"""Images by body part, split and label."""


def count(images: Iterable[tuple[str, str, str]]) -> Counts:
    """Count images, each given by body part, split and label."""
    nested: Counts = {}
    for (part, split, label), number in sorted(Counter(images).items()):
        nested.setdefault(part, {}).setdefault(split, {})[label] = number
    return nested


def flat(counts: Counts) -> dict[str, int]:
    """The same as one mapping: "XR_SHOULDER/train/positive" and so on."""
    return {
        f"{part}/{split}/{label}": number
        for part, splits in counts.items()
        for split, labels in splits.items()
        for label, number in labels.items()
    }


def require_consistent(where: str, radiographs: Iterable[Radiograph]) -> None:
    """Check what every data set must satisfy.

    Raises:
        InputError: a key twice, a study with two labels or patients, or a patient in `test` and elsewhere.
    """
    keys: set[str] = set()
    studies: dict[str, tuple[str, str]] = {}
    tested: dict[str, bool] = {}
    for r in radiographs:
        if r.key in keys:
            raise InputError(f"{where}: {r.key} is listed twice; each image must be listed once")
        keys.add(r.key)
        known = studies.setdefault(r.study, (r.label, r.patient))
        if known != (r.label, r.patient):
            raise InputError(
                f"{where}: study {r.study} is {known[0]} of {known[1]} and also {r.label} of {r.patient} "
                f"({r.key}); a study has one label and one patient"
            )
        if tested.setdefault(r.patient, r.split == "test") != (r.split == "test"):
            raise InputError(
                f"{where}: patient {r.patient} is in `test` and in `train` ({r.key}); a patient belongs to "
                "one split, or the classifier is tested on what it has seen"
            )
