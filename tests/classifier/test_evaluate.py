from hypothesis import assume, given
from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pytest
import torch

from mura_jobs.classifier.evaluate import choose_threshold, headline, prepare


def accuracy(positive: np.ndarray, probability: np.ndarray, threshold: float) -> float:
    return float(((probability >= threshold) == positive).mean())


def youden(positive: np.ndarray, probability: np.ndarray, threshold: float) -> float:
    called = probability >= threshold
    return float(called[positive].mean() + (~called[~positive]).mean())


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 19)), min_size=2, max_size=40))
def test_no_threshold_is_better_on_select(items: list[tuple[bool, int]]) -> None:
    positive = np.array([label for label, _ in items])
    probability = np.array([value / 20 for _, value in items])
    assume(positive.any() and not positive.all())
    everywhere = np.linspace(0, 1, 101)
    found = choose_threshold(positive, probability, "accuracy")
    best = max(accuracy(positive, probability, threshold) for threshold in everywhere)
    assert accuracy(positive, probability, found) == pytest.approx(best)
    found = choose_threshold(positive, probability, "youden")
    best = max(youden(positive, probability, threshold) for threshold in everywhere)
    assert youden(positive, probability, found) == pytest.approx(best)
    assert choose_threshold(positive, probability, "half") == 0.5


def test_of_equally_good_thresholds_the_one_nearest_to_one_half_is_taken() -> None:
    positive = np.array([False, True])
    assert choose_threshold(positive, np.array([0.1, 0.9]), "youden") == 0.5
    assert choose_threshold(positive, np.array([0.6, 0.8]), "youden") == pytest.approx(0.7)


def test_a_study_scores_the_mean_of_its_images() -> None:
    table = pd.DataFrame(
        {
            "study": ["a", "a", "b", "b"],
            "label": ["positive", "positive", "negative", "negative"],
            "probability": [0.2, 0.9, 0.5, 0.4],
        }
    )
    scores = headline(table, {"image": 0.5, "study": 0.53})
    assert scores["image"]["accuracy"] == 0.5  # 0.2 and 0.5 are called wrongly
    assert scores["study"] == pytest.approx(
        {"auroc": 1.0, "accuracy": 1.0, "kappa": 1.0, "log_loss": -np.log(0.55)}
    )


def test_grey_values_go_from_0_to_1_and_resizing_keeps_their_mean() -> None:
    images = torch.tensor([[[0, 255], [255, 0]]], dtype=torch.uint8)
    assert prepare(images, 2).flatten().tolist() == [0, 1, 1, 0]
    noise = (torch.rand(2, 32, 32, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    resized = prepare(noise, 16)
    assert resized.shape == (2, 1, 16, 16)
    torch.testing.assert_close(resized.mean((1, 2, 3)), noise.float().mean((1, 2)) / 255, rtol=0.02, atol=0)
