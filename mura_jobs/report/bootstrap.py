"""The patient-clustered bootstrap: test sets as they might have been drawn, and every score on them.

Images of one patient resemble each other, so patients are resampled, never images (Davison & Hinkley 1997,
section 3.8). A resample is a row of weights, how often each item was drawn. All arms and seeds are scored on
the same resamples, which keeps their comparison paired.
"""

import numpy as np

from mura_jobs.errors import InputError
from mura_jobs.report.statistics import METRICS, Bools, Floats, Ints

_BLOCK = 4_000_000
"""Weights held at once while scoring, a count; bounds memory on large test sets."""


def patient_resamples(
    positive_N: Bools, patient_N: Ints, resamples: int, stream: np.random.Generator
) -> Floats:
    """Weights of `resamples` draws of the patients with replacement, shape (resamples, patients).

    A draw without one of the labels can't be scored; such draws are drawn again.

    Args:
        positive_N: label of each item.
        patient_N: each item's patient, 0 … patients − 1.
        resamples: rows wanted.
        stream: where the draws come from.

    Raises:
        InputError: a label has fewer than two patients, so its sampling error can't be judged.
    """
    patients = int(patient_N.max()) + 1
    has_PL = np.zeros((patients, 2), bool)
    has_PL[patient_N, positive_N.astype(int)] = True
    for name, count in zip(("negative", "positive"), has_PL.sum(axis=0).tolist(), strict=True):
        if count < 2:
            raise InputError(f"{count} test patients have {name} items; at least 2 of each label are needed")
    rows: list[Floats] = []
    wanted = resamples
    while wanted:
        weights_BP = stream.multinomial(patients, np.full(patients, 1 / patients), size=wanted)
        scorable_B = (weights_BP @ has_PL).all(axis=1)
        rows.append(weights_BP[scorable_B].astype(np.float64))
        wanted -= int(scorable_B.sum())
    return np.concatenate(rows)


def replicates(
    positive_N: Bools, probability_N: Floats, threshold: float, patient_N: Ints, weights_BP: Floats
) -> dict[str, Floats]:
    """Every score of METRICS on every resample, each of shape (B,)."""
    block = max(1, _BLOCK // len(positive_N))
    parts = [
        _weighted_scores(
            positive_N, probability_N, threshold, weights_BP[start : start + block][:, patient_N]
        )
        for start in range(0, len(weights_BP), block)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in METRICS}


def _weighted_scores(
    positive_N: Bools, probability_N: Floats, threshold: float, weights_BN: Floats
) -> dict[str, Floats]:
    called_N = probability_N >= threshold
    total_B = weights_BN.sum(axis=1)
    tp_B = weights_BN @ (positive_N & called_N)
    fp_B = weights_BN @ (~positive_N & called_N)
    positives_B = weights_BN @ positive_N
    negatives_B = total_B - positives_B
    accuracy_B = (tp_B + negatives_B - fp_B) / total_B
    called_B = tp_B + fp_B
    chance_B = (positives_B * called_B + negatives_B * (total_B - called_B)) / total_B**2
    return {
        "auroc": _weighted_auroc(positive_N, probability_N, weights_BN),
        "accuracy": accuracy_B,
        "kappa": (accuracy_B - chance_B) / (1 - chance_B),
        "sensitivity": tp_B / positives_B,
        "specificity": 1 - fp_B / negatives_B,
        "brier": weights_BN @ (probability_N - positive_N) ** 2 / total_B,
    }


def _weighted_auroc(positive_N: Bools, probability_N: Floats, weights_BN: Floats) -> Floats:
    """Weighted share of (positive, negative) pairs that are ranked rightly; ties count half."""
    order = np.argsort(probability_N, kind="stable")
    starts = np.flatnonzero(np.diff(probability_N[order], prepend=-np.inf))  # of each group of ties
    sorted_BN = weights_BN[:, order]
    positive_BG = np.add.reduceat(sorted_BN * positive_N[order], starts, axis=1)
    negative_BG = np.add.reduceat(sorted_BN * ~positive_N[order], starts, axis=1)
    below_BG = np.cumsum(negative_BG, axis=1) - negative_BG / 2
    auroc_B: Floats = (positive_BG * below_BG).sum(axis=1)
    auroc_B /= positive_BG.sum(axis=1) * negative_BG.sum(axis=1)
    return auroc_B
