from bisect import bisect_right

import numpy as np
import pytest
from scipy.stats import binom, norm

from mura_jobs.report.paired import McNemar, delong, holm, mcnemar, over_seeds, structural_components

POSITIVE = np.repeat([True, False], [10, 12])
FIRST = np.array([9, 8, 7, 7, 6, 5, 9, 4, 8, 3, 5, 4, 3, 2, 2, 1, 6, 3, 4, 1, 2, 5], float)
SECOND = np.array([9, 9, 8, 6, 7, 7, 9, 5, 8, 6, 4, 3, 3, 2, 1, 1, 6, 2, 5, 1, 3, 7], float)


def test_delong_agrees_with_proc() -> None:
    """The figures of roc.test(method="delong", paired=TRUE) of R's pROC 1.18.0 on these tying ratings."""
    found = delong(POSITIVE, FIRST, SECOND)
    assert found.first == pytest.approx(0.895833333333)
    assert found.second == pytest.approx(0.945833333333)
    assert (found.second - found.first) / found.error == pytest.approx(0.966417230885)
    assert found.p_value == pytest.approx(0.333835445337)


def test_delong_error_of_one_auroc_agrees_with_proc() -> None:
    """Against a constant rating, of which the AUROC has no variance: sqrt(var(roc)) of pROC 1.18.0."""
    assert delong(POSITIVE, np.zeros(22), FIRST).error == pytest.approx(0.06634761618)


def test_structural_components_are_shares_of_pairs() -> None:
    """Midranks give what comparing every positive with every negative gives (DeLong et al. 1988, eq. 4)."""
    below, above = structural_components(POSITIVE, FIRST)
    gap = FIRST[POSITIVE][:, np.newaxis] - FIRST[~POSITIVE]
    kernel = (gap > 0) + 0.5 * (gap == 0)
    np.testing.assert_allclose(below, kernel.mean(axis=1))
    np.testing.assert_allclose(above, kernel.mean(axis=0))


def test_delong_of_the_same_ranking_finds_nothing() -> None:
    assert delong(POSITIVE, FIRST, 2 * FIRST + 1).p_value == 1


@pytest.mark.parametrize(
    ("counts", "expected"), [((1, 7), 0.0390625), ((7, 1), 0.0390625), ((4, 4), 1.0), ((0, 0), 1.0)]
)
def test_mcnemar_mid_p(counts: tuple[int, int], expected: float) -> None:
    """The first is Fagerland, Lydersen & Laake 2013, table 1: 1 against 7 discordant pairs, mid-p 0.039."""
    assert McNemar(*counts).p_value == pytest.approx(expected)


def test_mcnemar_counts_items_that_only_one_calls_rightly() -> None:
    first, second = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 0], bool)
    assert mcnemar(first, second) == McNemar(only_first=2, only_second=1)


@pytest.mark.parametrize("items", [40, 150, 500])
@pytest.mark.parametrize("discordant", [0.05, 0.15, 0.3])
def test_mcnemar_keeps_its_error_rate(items: int, discordant: float) -> None:
    """Computed, not simulated: equally accurate classifiers are told apart in at most 5% of the test sets."""
    rate = 0.0
    pairs = np.arange(items + 1)
    for n, chance in zip(pairs.tolist(), binom.pmf(pairs, items, discordant).tolist(), strict=True):
        p_values = [McNemar(few, n - few).p_value for few in range(n // 2)] if chance > 1e-6 else []
        rejected = bisect_right(p_values, 0.05)
        rate += chance * 2 * float(binom.cdf(rejected - 1, n, 0.5))
    assert 0 < rate <= 0.0505


def test_holm_adjusts_as_r_does() -> None:
    """p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") of R."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_holm_holds_the_family_wise_error_rate() -> None:
    """Five true null hypotheses with correlated tests: any of them falls in at most 5% of 20,000 families."""
    random = np.random.default_rng(0)
    z = random.normal(size=(20_000, 1)) * 0.7 + random.normal(size=(20_000, 5)) * np.sqrt(1 - 0.49)
    families = 2 * norm.sf(np.abs(z))
    smallest = np.minimum(5 * families.min(axis=1), 1)
    for row in range(10):  # what the smallest p becomes, so that statsmodels need not be asked 20,000 times
        assert min(holm(families[row].tolist())) == pytest.approx(smallest[row])
    assert 0.03 < (smallest <= 0.05).mean() <= 0.05
    assert (families.min(axis=1) <= 0.05).mean() > 0.1  # what happens without it


def test_delong_keeps_its_error_rate() -> None:
    """Two equally good classifiers: p ≤ 0.05 in about 5% of 1,000 test sets (± 3 standard errors)."""
    random = np.random.default_rng(1)
    positive = np.repeat([True, False], [45, 60])
    rejected = 0
    for _ in range(1000):
        shared = positive * 1.2 + random.normal(size=105)
        first, second = shared + 0.8 * random.normal(size=(2, 105))
        rejected += delong(positive, first, second).p_value <= 0.05
    assert 0.029 <= rejected / 1000 <= 0.071


def test_twice_the_median_holds_its_level_whatever_the_dependence() -> None:
    """Seeds that agree fully, or not at all: the combined p is at most 0.05 in at most 5% of the cases."""
    random = np.random.default_rng(2)
    for agreement in (0.0, 0.5, 1.0):
        own = random.random((20_000, 5))
        same = random.random((20_000, 1))
        p = np.where(random.random((20_000, 1)) < agreement, same, own)
        assert np.mean([over_seeds(list(row)) <= 0.05 for row in p[:4000]]) <= 0.06
    assert over_seeds([0.02]) == 0.02
    assert over_seeds([0.02, 0.9, 0.03]) == pytest.approx(0.06)
    assert over_seeds([0.8, 0.9]) == 1.0
