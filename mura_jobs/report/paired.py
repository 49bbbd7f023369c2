"""Paired tests that treat test items as independent: DeLong's of two AUROCs, McNemar's of two accuracies.

They are the tests that readers ask for, and stand beside the verdict's own test, which knows about patients
and seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, norm, rankdata
from statsmodels.stats.multitest import multipletests

from mura_jobs.report.statistics import Bools, Floats


@dataclass(frozen=True)
class DeLong:
    """Two correlated AUROCs compared."""

    first: float
    second: float
    error: float
    """Standard error of second − first."""

    @property
    def p_value(self) -> float:
        """Two-sided p of equal AUROCs; 1 for rankings that do not differ."""
        difference = self.second - self.first
        if not self.error:
            return float(difference == 0)
        return float(2 * norm.sf(abs(difference) / self.error))


def delong(positive_N: Bools, first_N: Floats, second_N: Floats) -> DeLong:
    """DeLong, DeLong & Clarke-Pearson 1988, by the midranks of Sun & Xu 2014; needs 2 items of each label."""
    components = [structural_components(positive_N, score_N) for score_N in (first_N, second_N)]
    (first_M, first_K), (second_M, second_K) = components
    variance = sum(
        float(np.var(second - first, ddof=1)) / len(first)
        for first, second in ((first_M, second_M), (first_K, second_K))
    )
    return DeLong(float(first_M.mean()), float(second_M.mean()), float(np.sqrt(variance)))


def structural_components(positive_N: Bools, score_N: Floats) -> tuple[Floats, Floats]:
    """For each positive the share of negatives ranked below it, for each negative that of positives above it.

    Ties count half. The mean of either is the AUROC. Sun & Xu 2014, eqs. 5 and 6.
    """
    positive_M, negative_K = score_N[positive_N], score_N[~positive_N]
    rank_N = rankdata(np.concatenate([positive_M, negative_K]))
    below_M = (rank_N[: len(positive_M)] - rankdata(positive_M)) / len(negative_K)
    above_K = 1 - (rank_N[len(positive_M) :] - rankdata(negative_K)) / len(positive_M)
    return below_M, above_K


@dataclass(frozen=True)
class McNemar:
    """Two classifiers' right and wrong calls compared."""

    only_first: int
    """Items that only the first called rightly."""
    only_second: int
    """Items that only the second called rightly."""

    @property
    def p_value(self) -> float:
        """Two-sided mid-p of equal accuracy (Fagerland, Lydersen & Laake 2013)."""
        fewer, total = min(self.only_first, self.only_second), self.only_first + self.only_second
        return float(2 * binom.cdf(fewer, total, 0.5) - binom.pmf(fewer, total, 0.5))


def mcnemar(first_right_N: Bools, second_right_N: Bools) -> McNemar:
    """Count the items on which exactly one of two classifiers is right."""
    return McNemar(
        only_first=int((first_right_N & ~second_right_N).sum()),
        only_second=int((second_right_N & ~first_right_N).sum()),
    )


def over_seeds(p_values: Sequence[float]) -> float:
    """One p for several seeds' tests on the same patients: twice their median (Meinshausen et al. 2009).

    It holds its level whatever the dependence between the seeds. A single seed's p stays as it is.
    """
    return p_values[0] if len(p_values) == 1 else min(1.0, 2 * float(np.median(p_values)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []
