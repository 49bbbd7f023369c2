"""The proof that nothing of the test set went into training: from indexes, digests and the pixels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import numpy as np
from numpy.typing import NDArray
import pandas as pd

from mura_jobs.classifier.arms import Arm
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.config import Label
from mura_jobs.report.config import ReportConfig

Status = Literal["holds", "broken", "warning"]


@dataclass(frozen=True)
class Check:
    """One thing that was checked. A broken one voids the verdict, a warning is said beside it."""

    name: str
    status: Status
    found: str
    """What was found, with its numbers."""


def check_firewall(
    config: ReportConfig,
    inputs: Mapping[str, Artifact],
    real: pd.DataFrame,
    synthetic: Mapping[Label, pd.DataFrame],
    copied: list[str],
) -> list[Check]:
    """Check splits, provenance and copies.

    Args:
        config: labels, arms and seeds.
        inputs: every output that the report reads.
        real: the real data set's index.
        synthetic: index of the synthetic data set of each label.
        copied: keys of test images that are in train or select too.
    """
    return [
        _disjoint(real, "patient"),
        _disjoint(real, "study"),
        *_synthetic(real, synthetic),
        *_lineage(config, inputs),
        _copies(real, copied),
    ]


def holds(checks: list[Check]) -> bool:
    """Whether no check is broken."""
    return all(check.status != "broken" for check in checks)


def pixel_digests(keys: list[str], images: NDArray[np.uint8]) -> dict[str, str]:
    """The sha256 of each image's pixels, by key."""
    return {key: sha256(image.tobytes()).hexdigest() for key, image in zip(keys, images, strict=True)}


def _disjoint(real: pd.DataFrame, column: str) -> Check:
    splits = real.groupby(column)["split"].nunique()
    shared = splits.index[splits > 1].tolist()
    counts = real.groupby("split")[column].nunique()
    plural = "studies" if column == "study" else f"{column}s"
    sizes = ", ".join(f"{counts.get(split, 0):,} {split}" for split in ("train", "select", "test"))
    detail = f"{sizes}; {len(shared):,} in more than one"
    if shared:
        detail += f": {_some(shared)}"
    return Check(f"No two splits share {plural}", "broken" if shared else "holds", detail)


def _synthetic(real: pd.DataFrame, synthetic: Mapping[Label, pd.DataFrame]) -> Iterator[Check]:
    for label, index in synthetic.items():
        known = sorted(set(index["patient"]) & set(real["patient"]))
        strays = index[(index["split"] != "train") | (index["label"] != label)]
        detail = (
            f"{len(index):,} images; {len(strays):,} of another split or label, {len(known):,} under a real "
            "patient’s name"
        )
        yield Check(
            f"Synthetic {label} radiographs are training images of no real patient",
            "broken" if known or len(strays) else "holds",
            detail,
        )


def _lineage(config: ReportConfig, inputs: Mapping[str, Artifact]) -> Iterator[Check]:
    """Each output must have been made from the very inputs that this report reads."""
    for label in config.labels:
        yield from (_imported if config.imported else _generated)(config, inputs, label)
    for arm in config.arms:
        synthetic = (
            {f"synthesize/{label}" for label in config.labels} if Arm.parse(arm).has_synthetic else set()
        )
        checks = [
            _made_from(inputs, f"train-cnn/{arm}/seed-{seed}", {"preprocess", *synthetic}, "")
            for seed in range(config.seeds)
        ]
        broken = [check.found for check in checks if check.status == "broken"]
        read = (
            "this data set and these synthetic radiographs" if synthetic else "this data set and nothing else"
        )
        yield Check(
            f"Classifiers of {arm} read {read}",
            "broken" if broken else "holds",
            "; ".join(broken)
            or f"of {len(checks)} {'seed' if len(checks) == 1 else 'seeds'}, every input's digest is that of "
            "the output shown here",
        )


def _generated(config: ReportConfig, inputs: Mapping[str, Artifact], label: Label) -> Iterator[Check]:
    generator = config.generator_place(label)
    yield _made_from(inputs, generator, {"preprocess"}, "The {} generator was trained on this data set")
    yield _made_from(
        inputs,
        f"synthesize/{label}",
        {"preprocess", generator},
        "Synthetic {} radiographs come from that generator",
    )


def _imported(_: ReportConfig, inputs: Mapping[str, Artifact], label: Label) -> Iterator[Check]:
    place = f"synthesize/{label}"
    summary = inputs[place].manifest.summary
    yield Check(
        f"The generator of synthetic {label} radiographs saw no test radiograph",
        "warning",
        f"not on record: they were cut out of {summary['source']} (sha256 {summary['source_sha256'][:12]}…)",
    )
    yield _made_from(
        inputs, place, {"preprocess"}, "Synthetic {} radiographs were compared with this data set"
    )


def _made_from(inputs: Mapping[str, Artifact], place: str, expected: set[str], name: str) -> Check:
    read = inputs[place].manifest.inputs
    problems = [f"{place} did not read {source}" for source in sorted(expected - set(read))]
    problems += [f"{place} also read {source}" for source in sorted(set(read) - expected)]
    problems += [
        f"{place} read another {source} ({read[source][:12]}…, here {inputs[source].manifest.digest[:12]}…)"
        for source in sorted(expected & set(read))
        if read[source] != inputs[source].manifest.digest
    ]
    digests = ", ".join(f"{source} {read[source][:12]}…" for source in sorted(expected & set(read)))
    return Check(
        name.format(place.partition("/")[2]),
        "broken" if problems else "holds",
        "; ".join(problems) or f"read {digests}",
    )


def _copies(real: pd.DataFrame, copied: list[str]) -> Check:
    """The same picture under another patient's name: a flaw of the data, not of the split."""
    detail = f"{len(copied):,} of {int((real['split'] == 'test').sum()):,} test images"
    if copied:
        detail += f": {_some(copied)}"
    return Check(
        "No test image is a copy of a train or select image", "warning" if copied else "holds", detail
    )


def _some(names: list[str]) -> str:
    return ", ".join(map(str, names[:5])) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
