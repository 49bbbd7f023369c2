import numpy as np
import pytest

from mura_jobs.errors import InputError
from mura_jobs.report.statistics import Calibration, calibration, confusion, roc, scores

# 20 times both positive, 5 + 10 times in disagreement, 15 times both negative
POSITIVE = np.repeat([True, True, False, False], [20, 5, 10, 15])
CALLED = np.repeat([0.9, 0.1, 0.9, 0.1], [20, 5, 10, 15])


def test_scores_of_a_two_by_two_table() -> None:
    """A worked example: agreement 0.7, agreement by chance 0.5, so kappa 0.4."""
    found = scores(POSITIVE, CALLED, 0.5)
    assert found["accuracy"] == pytest.approx(0.7)
    assert found["kappa"] == pytest.approx(0.4)
    assert found["sensitivity"] == pytest.approx(20 / 25)
    assert found["specificity"] == pytest.approx(15 / 25)
    assert found["auroc"] == pytest.approx((20 * 15 + (20 * 10 + 5 * 15) / 2) / (25 * 25))
    assert found["brier"] == pytest.approx((35 * 0.1**2 + 15 * 0.9**2) / 50)
    assert confusion(POSITIVE, CALLED, 0.5) == {"tp": 20, "fn": 5, "fp": 10, "tn": 15}


def test_a_probability_at_the_threshold_is_positive() -> None:
    positive, probability = np.array([True, False]), np.array([0.5, 0.49])
    assert confusion(positive, probability, 0.5) == {"tp": 1, "fn": 0, "fp": 0, "tn": 1}


def test_confusion_keeps_its_shape_when_nothing_is_called_positive() -> None:
    assert confusion(POSITIVE, CALLED, 1.1) == {"tp": 0, "fn": 25, "fp": 0, "tn": 25}
    assert scores(POSITIVE, CALLED, 1.1)["kappa"] == 0


def test_one_label_alone_cannot_be_scored() -> None:
    with pytest.raises(InputError, match="3 of the 3 test items are positive"):
        scores(np.ones(3, bool), np.array([0.1, 0.2, 0.3]), 0.5)


@pytest.mark.parametrize("decimals", [1, 12])
def test_area_under_the_interpolated_roc_curve_is_the_auroc(decimals: int) -> None:
    """With ties, where the curve slants, and without, where it is a staircase."""
    random = np.random.default_rng(0)
    positive = random.random(30) < 0.4
    probability = np.round(random.random(30) * 0.5 + np.where(positive, 0.25, 0.0), decimals)
    rates = np.linspace(0, 1, 40_001)
    area = np.trapezoid(roc(positive, probability, rates), rates)
    assert area == pytest.approx(scores(positive, probability, 0.5)["auroc"], abs=1e-4)


def test_roc_of_a_perfect_ranking_is_one_everywhere() -> None:
    assert roc(np.array([False, True]), np.array([0.2, 0.8]), np.array([0.0, 0.5, 1.0])).tolist() == [1, 1, 1]


def test_calibration_of_a_frequency_that_is_always_right() -> None:
    """Ten items at each of 0.1, 0.5 and 0.9, of which as many are positive as they say."""
    probability = np.repeat([0.1, 0.5, 0.9], 10)
    positive = np.concatenate([np.arange(10) < n for n in (1, 5, 9)])
    curve = calibration(positive, probability, 3)
    assert curve.predicted == pytest.approx((0.1, 0.5, 0.9))
    assert curve.observed == pytest.approx((0.1, 0.5, 0.9))
    assert curve.error == pytest.approx(0)


def test_calibration_error_weighs_bins_by_their_items() -> None:
    assert Calibration((0.2, 0.6), (0.3, 0.2), (30, 10)).error == pytest.approx((30 * 0.1 + 10 * 0.4) / 40)


def test_calibration_uses_every_item_once_even_with_fewer_items_than_bins() -> None:
    curve = calibration(np.array([True, False, True]), np.array([0.3, 0.2, 0.9]), 10)
    assert curve.counts == (1, 1, 1)
    assert curve.predicted == pytest.approx((0.2, 0.3, 0.9))
