import math

import pytest
import torch
from torch import nn

from mura_jobs.classifier.config import OptimiserConfig
from mura_jobs.classifier.optimise import Average, improvements, learning_rate, make_optimiser, plateaus


def config(**values: object) -> OptimiserConfig:
    return OptimiserConfig.parse(values)


def test_cosine_starts_at_the_highest_rate_and_ends_near_nothing() -> None:
    rates = [learning_rate(config(lr=0.1), step, 100, 10, 0) for step in range(100)]
    assert rates[0] == 0.1
    assert rates == sorted(rates, reverse=True)
    assert rates[50] == pytest.approx(0.05)
    assert rates[-1] < 1e-4


def test_warmup_rises_in_equal_steps() -> None:
    settings = config(lr=0.1, schedule="constant", warmup_epochs=0.5)
    rates = [learning_rate(settings, step, 100, 10, 0) for step in range(8)]
    assert rates == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1, 0.1])


def test_plateau_divides_by_ten_each_time() -> None:
    settings = config(lr=0.1, schedule="plateau")
    assert [learning_rate(settings, 5, 100, 10, n) for n in range(3)] == pytest.approx([0.1, 0.01, 0.001])


def test_plateaus_are_counted_anew_after_each() -> None:
    assert plateaus([True, False, False], 3) == 0
    assert plateaus([True, False, False, False], 3) == 1
    assert plateaus([True] + [False] * 5, 3) == 1
    assert plateaus([True] + [False] * 6, 3) == 2
    assert plateaus([True, False, False, True, False, False], 3) == 0


def test_an_epoch_improves_if_it_beats_all_before_it() -> None:
    history = [
        {"select_auroc": auroc, "select_loss": loss}
        for auroc, loss in ((0.6, 1.0), (0.5, 0.9), (0.6, 0.9), (0.7, 0.8))
    ]
    assert improvements(history, "auroc") == [True, False, False, True]
    assert improvements(history, "loss") == [True, True, False, True]
    assert improvements(history, "last") == [True] * 4
    assert improvements([], "auroc") == []


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_only_matrices_and_kernels_decay(name: str) -> None:
    """With no gradient, decay alone moves weights; biases and normalisation stay."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    before = {key: value.clone() for key, value in network.named_parameters()}
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    make_optimiser(config(name=name, lr=0.1, weight_decay=0.1), network).step()
    changed = {key for key, value in network.named_parameters() if not torch.equal(value, before[key])}
    assert changed == {"0.weight"}


def test_the_average_follows_with_its_time_constant() -> None:
    """After a jump, the distance shrinks by 1/e in each time constant, once the warm-up is over."""
    network = nn.Linear(1, 1, bias=False)
    average = Average(network, time_constant=20)
    for step in range(1000):
        average.update(step)
    torch.testing.assert_close(average.tensors["weight"], network.weight.detach())
    start = network.weight.item()
    with torch.no_grad():
        network.weight += 1
    for step in range(1000, 1020):
        average.update(step)
    assert average.tensors["weight"].item() - start == pytest.approx(1 - math.exp(-1), abs=1e-3)


def test_the_average_forgets_the_initial_weights_early() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = Average(network, time_constant=1e6)
    first = network.weight.item()
    with torch.no_grad():
        network.weight += 1
    for step in range(100):
        average.update(step)
    assert average.tensors["weight"].item() - first > 0.99
