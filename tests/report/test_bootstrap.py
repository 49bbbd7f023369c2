import numpy as np
import pytest
from scipy.special import expit

from mura_jobs.errors import InputError
from mura_jobs.report.bootstrap import patient_resamples, replicates
from mura_jobs.report.paired import structural_components
from mura_jobs.report.statistics import METRICS, Bools, Floats, Ints, scores


def clustered(patients: int, seed: int = 0) -> tuple[Bools, Ints, Floats, Floats]:
    """Labels, patients and two classifiers' correlated probabilities, rounded so that there are ties."""
    random = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), random.integers(1, 5, patients))
    positive = random.random(patients)[patient] < 0.5
    shared = positive + 0.9 * random.normal(size=patients)[patient] + 0.6 * random.normal(size=len(patient))
    first, second = (
        shared + 0.5 * random.normal(size=patients)[patient] + 0.2 * random.normal(size=len(patient))
        for _ in range(2)
    )
    return positive, patient, np.round(expit(first), 2), np.round(expit(second), 2)


def test_scores_with_weights_are_scores_of_repeated_items() -> None:
    """A patient with weight 3 counts as three patients with the same images."""
    positive, patient, probability, _ = clustered(30)
    weights = np.stack([np.ones(30), np.random.default_rng(1).integers(0, 4, 30)]).astype(float)
    found = replicates(positive, probability, 0.55, patient, weights)
    for row in range(2):
        times = weights[row][patient].astype(int)
        expected = scores(np.repeat(positive, times), np.repeat(probability, times), 0.55)
        for name in METRICS:
            assert found[name][row] == pytest.approx(expected[name]), name


def test_blocks_do_not_change_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    positive, patient, probability, _ = clustered(20)
    weights = patient_resamples(positive, patient, 50, np.random.default_rng(2))
    whole = replicates(positive, probability, 0.5, patient, weights)
    monkeypatch.setattr("mura_jobs.report.bootstrap._BLOCK", 7 * len(positive))
    parts = replicates(positive, probability, 0.5, patient, weights)
    for name in METRICS:
        np.testing.assert_allclose(whole[name], parts[name], rtol=1e-12)


def test_each_resample_draws_as_many_patients_as_there_are_and_can_be_scored() -> None:
    patient = np.arange(6)
    positive = patient < 2  # rare: some draws lack it and must be drawn again
    weights = patient_resamples(positive, patient, 500, np.random.default_rng(3))
    assert weights.shape == (500, 6)
    assert (weights.sum(axis=1) == 6).all()
    assert (weights[:, :2].sum(axis=1) > 0).all()
    assert (weights[:, 2:].sum(axis=1) > 0).all()


def test_patients_with_both_labels_count_for_both() -> None:
    patient, positive = np.array([0, 0, 1, 1]), np.array([True, False, True, False])
    assert patient_resamples(positive, patient, 10, np.random.default_rng(0)).shape == (10, 2)


def test_too_few_patients_of_a_label_are_refused() -> None:
    with pytest.raises(InputError, match="1 test patients have positive items"):
        patient_resamples(
            np.array([True, True, False, False]), np.array([0, 0, 1, 2]), 10, np.random.default_rng()
        )


def test_standard_error_agrees_with_the_clustered_delong_formula() -> None:
    """Obuchowski 1997: the variance of AUROCs of clustered items, here of the difference of two."""
    positive, patient, first, second = clustered(250, seed=4)
    weights = patient_resamples(positive, patient, 3000, np.random.default_rng(5))
    drawn = [replicates(positive, x, 0.5, patient, weights)["auroc"] for x in (first, second)]
    expected = clustered_delong_error(positive, patient, first, second)
    assert np.std(drawn[1] - drawn[0], ddof=1) == pytest.approx(expected, rel=0.06)
    naive = clustered_delong_error(positive, np.arange(len(patient)), first, second)
    assert abs(naive / expected - 1) > 0.1  # clustering matters here, so the agreement above means something


def clustered_delong_error(positive: Bools, patient: Ints, first: Floats, second: Floats) -> float:
    components = [structural_components(positive, x) for x in (first, second)]
    below, above = (b - a for a, b in zip(*components, strict=True))
    difference = below.mean()
    patients = int(patient.max()) + 1
    of_positive = np.bincount(patient[positive], weights=below - difference, minlength=patients)
    of_negative = np.bincount(patient[~positive], weights=above - difference, minlength=patients)
    m, k = len(below), len(above)
    with_positive = len(np.unique(patient[positive]))
    with_negative = len(np.unique(patient[~positive]))
    s10 = with_positive / ((with_positive - 1) * m) * (of_positive**2).sum()
    s01 = with_negative / ((with_negative - 1) * k) * (of_negative**2).sum()
    s11 = patients / (patients - 1) * (of_positive * of_negative).sum()
    return float(np.sqrt(s10 / m + s01 / k + 2 * s11 / (m * k)))
