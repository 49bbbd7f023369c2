"""Every gate over a row of candidates: scores, thresholds from `select`, and who is kept.

Gates on pixels see all candidates. Gates on features cost a network's pass an image, and see as many of those
left as it takes to find the wanted number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pandas as pd

from mura_jobs.errors import InputError
from mura_jobs.features.space import FeatureSpace, open_space
from mura_jobs.job.config import Label, Split
from mura_jobs.job.job import Job
from mura_jobs.radiographs.packed import Packed
from mura_jobs.synthetic.config import GatesConfig
from mura_jobs.synthetic.feature_gates import FeatureGates
from mura_jobs.synthetic.gate import nearest, nearest_earlier, threshold, thumbnails
from mura_jobs.synthetic.verdict import GateName, Verdict, joined, rejected

Images = NDArray[np.uint8]
Rows = NDArray[np.int64]

_CHUNK = 256
"""Candidates whose features are taken at once."""

_COPIES: tuple[GateName, ...] = ("memorisation", "memorisation_features")

_COPIED = "the generator copies what it was trained on: train it with more images, or less long"
_ADVICE: Mapping[GateName, str] = {
    "memorisation": _COPIED,
    "memorisation_features": _COPIED,
    "duplicates": "the generator draws the same again and again: train it longer or with more images, raise "
    "psi, or ask for fewer images",
    "label_agreement": "they do not look like their label to a classifier that learned it from real training "
    "images: look at them, and train the generator longer",
    "realism": "they lie further from real radiographs than held-out ones do: look at them, train the "
    "generator longer, or lower psi",
}


@dataclass(frozen=True)
class Screening:
    """What the gates made of the candidates."""

    kept: Rows
    """Rows of the candidates that are kept, ascending: the first that passed."""
    scores: pd.DataFrame
    """Scores of the kept ones, one row each."""
    facts: Mapping[str, Any]
    """Plain values for the manifest's summary."""


def screen_in(
    job: Job, gates: GatesConfig, images: Images, label: Label, real: Packed, *, wanted: int | None
) -> Screening:
    """`screen` in the feature space that the gates name, on the job's device, until it is asked to stop."""
    space = open_space(gates.features, job.bucket)
    space = None if space is None else space.to(job.world.device)
    return screen(gates, images, label, real, space, wanted=wanted, pause=job.shutdown.check)


def screen(
    gates: GatesConfig,
    images: Images,
    label: Label,
    real: Packed,
    space: FeatureSpace | None,
    *,
    wanted: int | None,
    pause: Callable[[], None],
) -> Screening:
    """Score candidates and keep the first that pass all gates that are on.

    Args:
        gates: which gates, and where their thresholds lie.
        images: candidates, uint8 (N, R, R), in the order in which they are preferred.
        label: what they are meant to show.
        real: the real data set; its splits `train` and `select` are read, `test` is not.
        space: where features are compared; None for gates on pixels alone.
        wanted: how many to keep; None for all that pass, if no more than `rejected_share` fail.
        pause: called between pieces of work; may raise.

    Raises:
        InputError: a split lacks the label, or fewer than `wanted` pass.
    """
    for split in ("train", "select"):
        _require(real, split, label)
    pixels = _pixel_verdicts(gates, images, label, real)
    alive = np.flatnonzero(~rejected(pixels))
    needed = len(images) if wanted is None else wanted
    features: list[Verdict] = []
    if space is not None and len(alive):
        gate = FeatureGates.open(gates, space, label, real)
        features = _feature_verdicts(gate, images[alive], needed, pause)
        alive = alive[: len(features[0].fails)]
    stands = ~rejected(features) if features else np.ones(len(alive), bool)
    places = np.flatnonzero(stands)[:needed]
    least = math.ceil(len(images) * (1 - gates.rejected_share)) if wanted is None else wanted
    if len(places) < max(least, 1):
        raise InputError(_too_few(label, len(images), len(places), least, [*pixels, *features]))
    kept = alive[places]
    used, looked_at = len(images), len(alive)
    if wanted is not None:
        # More may have been looked at than it took, which is nobody's business
        used, looked_at = int(kept[-1]) + 1, int(places[-1]) + 1
    told = [(verdict.first(used), kept) for verdict in pixels]
    told += [(verdict.first(looked_at), places) for verdict in features]
    scores = {name: column[rows] for verdict, rows in told for name, column in verdict.columns.items()}
    copies = [verdict.fails[rows] for verdict, rows in told if verdict.name in _COPIES]
    facts = {verdict.name: verdict.facts for verdict, _ in told}
    return Screening(
        kept,
        pd.DataFrame(scores | {"memorised": np.logical_or.reduce(copies)}),
        {
            "candidates_used": used,
            "rejected": {name: fact["rejected"] for name, fact in facts.items()},
            "threshold": facts["memorisation"]["threshold"],
            "features": None if space is None else space.name,
            "gates": facts,
        },
    )


def _require(real: Packed, split: Split, label: Label) -> None:
    if not len(real.where(split=split, label=label)):
        raise InputError(f"preprocess: the split {split} has no {label} image; gates need both splits")


def _pixel_verdicts(gates: GatesConfig, images: Images, label: Label, real: Packed) -> list[Verdict]:
    train, select = (real.where(split=split, label=label) for split in ("train", "select"))
    fakes, trained = thumbnails(images, gates.side), thumbnails(train.images(), gates.side)
    level = threshold(nearest(thumbnails(select.images(), gates.side), trained), gates.quantile)
    to_train, to_fakes = nearest(fakes, trained), nearest_earlier(fakes)
    keys = train.index["key"].to_numpy()[to_train.row]
    return [
        Verdict(
            "memorisation",
            {"train_distance": to_train.distance, "nearest_train": keys},
            level,
            to_train.distance <= level,
            gates.memorisation,
        ),
        Verdict(
            "duplicates",
            {"fake_distance": to_fakes.distance},
            level,
            to_fakes.distance <= level,
            gates.duplicates,
        ),
    ]


def _feature_verdicts(
    gate: FeatureGates, images: Images, needed: int, pause: Callable[[], None]
) -> list[Verdict]:
    """About as many of the images, from the first on, as it takes for `needed` to pass."""
    parts: list[list[Verdict]] = []
    passed = 0
    for start in range(0, len(images), _CHUNK):
        parts.append(gate.verdicts(images[start : start + _CHUNK]))
        passed += int((~rejected(parts[-1])).sum())
        pause()
        if passed >= needed:
            break
    return [joined(list(pieces)) for pieces in zip(*parts, strict=True)]


def _too_few(label: Label, candidates: int, kept: int, wanted: int, verdicts: list[Verdict]) -> str:
    """Names each gate with its figures, and what to do about the one that rejects most."""
    told = [
        f"{verdict.name} rejected {int(verdict.rejects.sum())} of {len(verdict.fails)} (threshold "
        f"{verdict.threshold}, their median {verdict.facts['median']})"
        for verdict in verdicts
        if verdict.on and verdict.abstains is None
    ]
    worst = max(verdicts, key=lambda verdict: float(verdict.rejects.mean()))
    return (
        f"synthesize/{label}: only {kept} of {candidates} candidates passed the gates, {wanted} are wanted: "
        f"{'; '.join(told)}. Gate {worst.name}: {_ADVICE[worst.name]}; or raise gates.rejected_share"
    )
