import numpy as np
from numpy.typing import NDArray
import pytest

from mura_jobs.synthetic.labels import Judge, train_judge


def people(count: int, shift: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Features, the first of which is `shift` larger for positive ones."""
    stream = np.random.default_rng(seed)
    positive = stream.random(count) < 0.5
    features = stream.normal(size=(count, 40)).astype(np.float32)
    features[positive, 0] += shift
    return features, positive


def judge(shift: float, seed: int = 0) -> Judge:
    return train_judge(*people(400, shift, seed), *people(80, shift, seed + 1))


def test_an_image_of_the_wrong_label_scores_low() -> None:
    """And lower than nearly all of its alleged label."""
    learned = judge(shift=4)
    assert learned.abstains is None
    assert learned.auroc > 0.9
    features, positive = people(200, 4, 7)
    for alleged in (True, False):
        probability = learned.probability(features, positive=alleged)
        own, other = probability[positive == alleged], probability[positive != alleged]
        assert np.quantile(own, 0.05) > np.median(other)
        assert np.median(other) < 0.4


def test_the_two_labels_probabilities_add_up_to_one() -> None:
    features, _ = people(20, 1, 3)
    both = [judge(1).probability(features, positive=positive) for positive in (True, False)]
    np.testing.assert_allclose(sum(both), 1, atol=2e-4)


def test_a_judge_that_knows_nothing_abstains_and_says_so() -> None:
    """In all but about one case in twenty, which is the level of its test."""
    abstaining = [found.abstains for found in (judge(0, seed) for seed in range(100, 140))]
    assert sum(reason is None for reason in abstaining) <= 6
    reason = next(reason for reason in abstaining if reason)
    assert "at chance on `select` (AUROC 0." in reason


def test_auroc_is_that_of_select_alone() -> None:
    """A judge trained on one finding and tried on its opposite is worse than chance, and abstains."""
    found = train_judge(*people(400, 4, 0), *people(80, -4, 1))
    assert found.auroc == pytest.approx(0, abs=0.05)
    assert found.abstains is not None
