"""Scores of one set of predictions: how often right, how well ranked, how well calibrated."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    confusion_matrix,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from mura_jobs.errors import InputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

METRICS = ("auroc", "accuracy", "kappa", "sensitivity", "specificity", "brier")
"""The scores that carry intervals. More is better, except of `brier`."""

BOUNDS = {name: (-1.0 if name == "kappa" else 0.0, 1.0) for name in METRICS}
"""The least and the most that each can be."""


def scores(positive_N: Bools, probability_N: Floats, threshold: float) -> dict[str, float]:
    """Every score of METRICS; an item is called positive when its probability reaches the threshold.

    Kappa is Cohen's (1960); Brier's score (1950) is the mean squared error of the probability.

    Raises:
        InputError: one of the labels is absent, so that most scores are undefined.
    """
    _require_both(positive_N)
    called_N = probability_N >= threshold
    return {
        "auroc": float(roc_auc_score(positive_N, probability_N)),
        "accuracy": float(accuracy_score(positive_N, called_N)),
        "kappa": float(cohen_kappa_score(positive_N, called_N)),
        "sensitivity": float(recall_score(positive_N, called_N, pos_label=True, zero_division=0.0)),
        "specificity": float(recall_score(positive_N, called_N, pos_label=False, zero_division=0.0)),
        "brier": float(brier_score_loss(positive_N, probability_N)),
    }


def confusion(positive_N: Bools, probability_N: Floats, threshold: float) -> dict[str, int]:
    """Counts of true and false positives and negatives at the threshold."""
    table = confusion_matrix(positive_N, probability_N >= threshold, labels=[False, True])
    (tn, fp), (fn, tp) = table.tolist()
    return {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def roc(positive_N: Bools, probability_N: Floats, at_N: Floats) -> Floats:
    """Sensitivity at each false positive rate of `at_N`, interpolated along the empirical ROC curve.

    Where the curve rises vertically, the value is the top of the rise.
    """
    false_positive_rate, sensitivity, _ = roc_curve(positive_N, probability_N, drop_intermediate=False)
    after = np.searchsorted(false_positive_rate, at_N, side="right").clip(max=len(sensitivity) - 1)
    before = np.searchsorted(false_positive_rate, at_N, side="right") - 1
    width = false_positive_rate[after] - false_positive_rate[before]
    share = np.divide(at_N - false_positive_rate[before], width, out=np.zeros_like(at_N), where=width > 0)
    return np.asarray(sensitivity[before] + share * (sensitivity[after] - sensitivity[before]))


@dataclass(frozen=True)
class Calibration:
    """Predicted probability against observed frequency, in equally populated bins (Nixon et al. 2019)."""

    predicted: tuple[float, ...]
    """Mean probability of each bin."""
    observed: tuple[float, ...]
    """Fraction of positives in each bin."""
    counts: tuple[int, ...]
    """Items in each bin."""

    @property
    def error(self) -> float:
        """Expected calibration error: the mean over items of |predicted − observed|, 0 to 1.

        Its value depends on the number of bins, and small test sets raise it.
        """
        gap = np.abs(np.subtract(self.predicted, self.observed))
        return float(np.average(gap, weights=self.counts))


def calibration(positive_N: Bools, probability_N: Floats, bins: int) -> Calibration:
    """The calibration curve; items that tie in probability may fall into neighbouring bins."""
    order = np.argsort(probability_N, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    return Calibration(
        predicted=tuple(float(probability_N[group].mean()) for group in groups),
        observed=tuple(float(positive_N[group].mean()) for group in groups),
        counts=tuple(len(group) for group in groups),
    )


def _require_both(positive_N: Bools) -> None:
    count, total = int(positive_N.sum()), len(positive_N)
    if count in (0, total):
        raise InputError(
            f"{count} of the {total} test items are positive; both labels are needed to score a classifier"
        )
