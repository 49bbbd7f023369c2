import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mura_jobs.gan.generator import Generator
from mura_jobs.synthetic.latent.config import ProjectConfig
from mura_jobs.synthetic.latent.project import (
    feature_distance,
    noise_penalty,
    pixel_distance,
    project,
    ramp,
    standardise_,
    statistics,
)
from tests.synthetic.generators import generator

CONFIG = ProjectConfig.parse({"label": "positive", "keys": ["a"], "steps": 150, "w_samples": 500})


def still() -> Generator:
    """Without noise, so that w alone makes the picture."""
    network = generator()
    for convolution in network.synthesis.convolutions:
        convolution.noise_strength.data.zero_()
    return network


def image_of(network: Generator, w_NF: Tensor) -> Tensor:
    image: Tensor = network.synthesis(network.broadcast(w_NF), network.constant_noise())
    return image


def test_projection_recovers_a_known_w_s_image_far_better_than_the_mean() -> None:
    """A tenth of the distance at most, though w itself need not be the known one."""
    network = still()
    known = network.mapping(torch.randn(2, 512, generator=torch.Generator().manual_seed(5)))
    target = image_of(network, known)
    distance = pixel_distance(target)
    apart: list[Tensor] = []
    found = project(network, distance, ["a", "b"], CONFIG, lambda _, apart_N: apart.append(apart_N))
    assert len(apart) == CONFIG.steps
    result = distance(image_of(network, found.w))
    start = distance(image_of(network, found.mean.expand(2, -1)))
    assert (result < start / 10).all()


def test_a_target_s_projection_does_not_depend_on_the_others() -> None:
    network = still()
    known = network.mapping(torch.randn(2, 512, generator=torch.Generator().manual_seed(5)))
    target = image_of(network, known)
    config = CONFIG.model_copy(update={"steps": 6})
    both = project(network, pixel_distance(target), ["a", "b"], config, lambda *_: None)
    alone = project(network, pixel_distance(target[1:]), ["b"], config, lambda *_: None)
    torch.testing.assert_close(both.w[1], alone.w[0], rtol=1e-3, atol=1e-3)


def test_the_mean_and_deviation_of_w_are_those_of_many_w() -> None:
    network = generator()
    mean, deviation = statistics(network, 4000, seed=0)
    w = network.mapping(torch.randn(4000, 512, generator=torch.Generator().manual_seed(1)))
    assert float((w.mean(0) - mean).norm()) < 0.1 * deviation
    assert math.sqrt(float((w - mean).square().sum(1).mean())) == pytest.approx(deviation, rel=0.05)


def test_the_learning_rate_rises_over_a_twentieth_and_falls_over_the_last_quarter() -> None:
    assert [ramp(done) for done in (0.0, 0.025, 0.05, 0.4, 0.75)] == pytest.approx([0, 0.5, 1, 1, 1])
    assert ramp(0.875) == pytest.approx(0.5)
    assert ramp(1.0) == pytest.approx(0)


def test_the_noise_penalty_is_that_of_its_equation() -> None:
    """One map of 16×16: its correlations with itself moved by one pixel, at 16×16 and at 8×8."""
    noise = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    expected = 0.0
    level = noise[0, 0].numpy()
    for _ in range(2):
        for axis in (0, 1):
            expected += float((level * np.roll(level, 1, axis)).mean() ** 2)
        level = level.reshape(len(level) // 2, 2, len(level) // 2, 2).mean(axis=(1, 3)) * 2
    assert float(noise_penalty([noise])) == pytest.approx(expected, rel=1e-4)


def test_the_penalty_knows_a_picture_from_noise_and_leaves_the_smallest_maps_alone() -> None:
    noise = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    picture = torch.linspace(-1.7, 1.7, 64).expand(1, 1, 64, 64)
    assert float(noise_penalty([noise])) < 0.1
    assert float(noise_penalty([picture])) > 5
    assert float(noise_penalty([picture[:, :, :4, :4]])) == 0


def test_noise_maps_become_standard() -> None:
    noise = [torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 3 + 5]
    standardise_(noise)
    torch.testing.assert_close(noise[0].mean((2, 3)), torch.zeros(2, 1), atol=1e-6, rtol=0)
    torch.testing.assert_close(noise[0].square().mean((2, 3)), torch.ones(2, 1))


def test_distances_are_nothing_for_the_target_and_count_broad_differences_more_than_fine_ones() -> None:
    """A checkerboard vanishes at half the scale; the same difference all over stays at every scale."""
    target = torch.zeros(1, 1, 16, 16)
    apart = pixel_distance(target)
    fine = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 8)[None, None]
    assert [float(apart(image)) for image in (target, fine, torch.ones_like(target))] == [0, 1, 3]
    embedded = feature_distance(target, lambda grey: grey.flatten(1))
    assert float(embedded(target)) == 0
    # black (0) turns white (1): three for the pixels, and grey 0.5 to 1 is a change of its own length
    assert float(embedded(torch.ones_like(target))) == pytest.approx(4)
