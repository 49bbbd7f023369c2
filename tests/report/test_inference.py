import numpy as np
import pytest
from scipy.stats import nct
from scipy.stats import t as student

from mura_jobs.report.bootstrap import patient_resamples, replicates
from mura_jobs.report.inference import Estimate, estimate
from mura_jobs.report.statistics import Bools, Floats, Ints

VAN_DYKE = np.array([-0.02818035, -0.04653784, -0.01787440, -0.02624799, -0.10016103])
"""Differences of AUROC of two kinds of MRI for five readers of 114 cases (Van Dyke et al. 1993)."""


def with_covariance(own: float, shared: float, seeds: int, patients: int) -> Floats:
    """Replicates whose variance is `own` and whose covariance between seeds is `shared`, exactly."""
    raw = np.random.default_rng(0).normal(size=(seeds, 500))
    raw -= raw.mean(axis=1, keepdims=True)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(raw)), raw)
    wanted = np.full((seeds, seeds), shared) + np.eye(seeds) * (own - shared)
    return np.asarray(np.linalg.cholesky(wanted * (patients - 1) / patients) @ white)


def test_the_published_analysis_of_van_dykes_data() -> None:
    """MRMCaov 0.3 prints these figures for these differences.

    Fixed readers, covariances by the jackknife (Error 0.0008022883, Cov1 0.0003466137, Cov2 0.0003440748,
    Cov3 0.0002390284): error 0.01871748. Random readers, DeLong's covariances (0.0007921325, 0.0003420090,
    0.0003395265, 0.0002358497): error 0.0206825, 15.06611 degrees of freedom, p 0.05123303.
    """
    own, shared = 2 * (0.0008022883 - 0.0003466137), 2 * (0.0003440748 - 0.0002390284)
    found = estimate(VAN_DYKE, with_covariance(own, shared, 5, 114), 114)
    assert found.value == pytest.approx(-0.04380032, abs=1e-7)
    assert found.patient_error == pytest.approx(0.01871748, rel=1e-5)

    own, shared = 2 * (0.0007921325 - 0.0003420090), 2 * (0.0003395265 - 0.0002358497)
    found = estimate(VAN_DYKE, with_covariance(own, shared, 5, 114), 114)
    assert found.error == pytest.approx(0.0206825, rel=1e-4)
    assert found.freedom == pytest.approx(15.06611, rel=1e-4)
    assert found.p_value == pytest.approx(0.05123303, rel=1e-4)
    assert found.interval(0.95) == pytest.approx((-0.0878671960, 0.0002665519), abs=1e-6)


def test_one_seed_has_the_bootstraps_error_and_no_more() -> None:
    drawn = np.random.default_rng(1).normal(0, 0.03, (1, 400))
    found = estimate(np.array([0.1]), drawn, 50)
    assert found.error == found.patient_error == pytest.approx(drawn.std(ddof=1) * np.sqrt(50 / 49))
    assert found.freedom == 49


def test_seeds_that_agree_by_luck_do_not_narrow_the_interval() -> None:
    drawn = with_covariance(4e-4, 1e-4, 3, 100)
    lucky, usual = (estimate(np.array([0.1, 0.1 + gap, 0.1 - gap]), drawn, 100) for gap in (0.0, 0.01))
    assert lucky.error == usual.error == lucky.patient_error


def test_seeds_that_disagree_widen_the_interval() -> None:
    drawn = with_covariance(4e-4, 1e-4, 3, 100)
    wide = estimate(np.array([0.0, 0.1, 0.2]), drawn, 100)
    assert wide.error == pytest.approx(np.sqrt(1e-4 + 0.01 / 3), rel=1e-6)
    assert 2 <= wide.freedom < 2.2
    assert wide.patient_error < wide.error / 2


def test_interval_and_p_value_agree() -> None:
    """The interval at 1 − p just touches 0."""
    found = Estimate(0.05, 0.02, 11.0, 0.02)
    low, high = found.interval(1 - found.p_value) or (1, 1)
    assert low == pytest.approx(0, abs=1e-9)
    assert high == pytest.approx(0.1)


def test_nothing_that_varies_tells_nothing() -> None:
    same = estimate(np.zeros(3), np.zeros((3, 100)), 20)
    assert same.p_value == 1
    assert same.interval(0.95) is None
    assert estimate(np.ones(3), np.ones((3, 100)), 20).p_value == 1
    assert same.detectable(0.05, 0.8) is None
    assert same.bounded_interval(0.95, 0, 1) is None


def test_intervals_of_scores_stay_within_their_bounds() -> None:
    low, high = Estimate(0.985, 0.02, 30.0, 0.02).bounded_interval(0.95, 0, 1) or (0, 0)
    assert 0 < low < 0.985 < high < 1
    low, high = Estimate(-0.9, 0.1, 30.0, 0.1).bounded_interval(0.95, -1, 1) or (0, 0)
    assert -1 < low < -0.9 < high < 1
    assert Estimate(1.0, 0.01, 30.0, 0.01).bounded_interval(0.95, 0, 1) is None


def test_a_detectable_effect_is_found_as_often_as_promised() -> None:
    """The power of a t-test at the smallest detectable effect, by the non-central t distribution."""
    found = Estimate(0.0, 0.03, 40.0, 0.03)
    effect = found.detectable(0.05, 0.8)
    assert effect is not None
    power = nct.sf(student.ppf(0.975, 40), 40, effect / 0.03)
    assert power == pytest.approx(0.8, abs=0.01)


def arms(
    random: np.random.Generator, patients: int, seeds: int, between_seeds: float
) -> tuple[Bools, Ints, Floats]:
    """Probabilities of two arms, shape (2, seeds, items), whose expected AUROCs are the same."""
    patient = np.repeat(np.arange(patients), random.integers(1, 4, patients))
    positive = (random.random(patients) < 0.5)[patient] ^ (random.random(len(patient)) < 0.1)
    shared = 0.7 * random.normal(size=patients)[patient] + random.normal(size=len(patient))
    of_arm = 0.4 * random.normal(size=(2, 1, patients))[:, :, patient]
    distance = 1.2 + between_seeds * random.normal(size=(2, seeds, 1))
    logit = distance * positive + shared + of_arm + 0.6 * random.normal(size=(2, seeds, len(patient)))
    return positive, patient, 1 / (1 + np.exp(-logit))


def coverage(tests: int, patients: int, seeds: int, between_seeds: float) -> tuple[float, float]:
    """How often the interval of the difference holds the true 0, with other seeds allowed for and without."""
    random = np.random.default_rng(seeds)
    hits = np.zeros(2)
    for _ in range(tests):
        positive, patient, probability = arms(random, patients, seeds, between_seeds)
        weights = np.concatenate(
            [np.ones((1, patients)), patient_resamples(positive, patient, 200, random)]
        )  # the first row is the test set itself
        drawn = np.array(
            [
                [replicates(positive, row, 0.5, patient, weights)["auroc"] for row in arm]
                for arm in probability
            ]
        )
        difference = drawn[1] - drawn[0]
        found = estimate(difference[:, 0], difference[:, 1:], patients)
        fixed = Estimate(found.value, found.patient_error, patients - 1, found.patient_error)
        hits += [low <= 0 <= high for low, high in (one.interval(0.95) or (0, 0) for one in (found, fixed))]
    return float(hits[0] / tests), float(hits[1] / tests)


def test_intervals_cover_the_truth_in_a_short_simulation() -> None:
    """300 test sets: 95% within three standard errors, where patients alone would cover far less."""
    covered, patients_only = coverage(300, patients=60, seeds=4, between_seeds=0.3)
    assert 0.91 <= covered <= 0.985
    assert patients_only < 0.88


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patients", "seeds", "between_seeds"),
    [(60, 1, 0.0), (200, 1, 0.0), (60, 5, 0.0), (60, 5, 0.15), (60, 5, 0.3), (200, 5, 0.15), (120, 8, 0.3)],
)
def test_intervals_cover_the_truth(patients: int, seeds: int, between_seeds: float) -> None:
    """Between 93% and 97% of 2,000 test sets."""
    covered, _ = coverage(2000, patients, seeds, between_seeds)
    assert 0.93 <= covered <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("between_seeds", [0.0, 0.15, 0.3])
def test_intervals_of_three_seeds_are_nearly_right(between_seeds: float) -> None:
    """Three seeds tell little about the variation between seeds: 91% to 99%."""
    covered, _ = coverage(2000, 120, 3, between_seeds)
    assert 0.91 <= covered <= 0.99
