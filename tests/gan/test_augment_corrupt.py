"""The operations that ADA offers beside geometry and colour: filtering, noise, cutout."""

from math import pi, sqrt

import numpy as np
import pytest
import scipy.signal
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import gradcheck, gradgradcheck

from mura_jobs.gan.augment.bands import EXPECTED_POWER, SYM2, band_filters, band_gains, filter_bands
from mura_jobs.gan.augment.corrupt import add_noise, cut_out, cutout_box, noise_strength
from mura_jobs.gan.augment.draws import Draws
from mura_jobs.gan.augment.pipeline import augment
from mura_jobs.gan.augment.presets import Pipe, pipe_of
from mura_jobs.gan.config import Augmentation

MANY = 20_000
ONE = torch.tensor(1.0)
CORRUPTING = Pipe(filter=True, noise=True, cutout=True)


def draws(count: int, rows: slice | None = None) -> Draws:
    return Draws(count, rows or slice(0, count), torch.Generator().manual_seed(0), torch.device("cpu"))


def gains(p: float, count: int = MANY) -> Tensor:
    return band_gains(Pipe(filter=True), torch.tensor(p), draws(count))


def test_each_preset_adds_one_operation() -> None:
    names: tuple[Augmentation, ...] = ("bgc", "bgcf", "bgcfn", "bgcfnc")
    pipes = [pipe_of(name, 1) for name in names]
    assert [(pipe.filter, pipe.noise, pipe.cutout) for pipe in pipes] == [
        (False, False, False),
        (True, False, False),
        (True, True, False),
        (True, True, True),
    ]
    assert all(pipe.rotate90 and pipe.scale and pipe.contrast for pipe in pipes)
    strengths = pipes[-1].filter_log2, pipes[-1].noise_std, pipes[-1].cutout_share
    assert strengths == (1.0, 0.1, 0.5)


def test_the_band_filters_wavelet_is_orthonormal_with_two_vanishing_moments() -> None:
    taps = np.array(SYM2)
    assert taps.sum() == pytest.approx(sqrt(2))
    assert taps @ taps == pytest.approx(1)
    assert taps[2:] @ taps[:2] == pytest.approx(0, abs=1e-12)
    for moment in range(2):
        assert (taps * (-1.0) ** np.arange(4)) @ np.arange(4.0) ** moment == pytest.approx(0, abs=1e-12)


def test_bands_add_up_to_doing_nothing_and_lie_an_octave_apart() -> None:
    filters = band_filters()
    np.testing.assert_allclose(sum(filters), np.eye(43)[21], atol=1e-12)
    responses = []
    for taps in filters:
        np.testing.assert_allclose(taps, taps[::-1], atol=1e-12)
        frequency, response = scipy.signal.freqz(taps, worN=1024)
        responses.append(np.abs(response))
    # each lets through most of what lies at the middle of its octave
    for place, middle in enumerate((0.0, 3 / 16 * pi, 3 / 8 * pi, 7 / 8 * pi)):
        at = int(np.argmin(np.abs(frequency - middle)))
        assert np.argmax([response[at] for response in responses]) == place
    assert responses[0][0] == pytest.approx(1)
    assert max(response[0] for response in responses[1:]) == pytest.approx(0, abs=1e-12)


def test_filtering_agrees_with_scipys_separable_filter_on_a_mirrored_image() -> None:
    image = torch.rand(1, 1, 20, 20, dtype=torch.float64)
    drawn = gains(1.0, 1).double()
    taps = sum(gain * band for gain, band in zip(drawn[0].tolist(), band_filters(), strict=True))
    wide = np.pad(image[0, 0].numpy(), 21, mode="symmetric")
    expected = scipy.signal.convolve2d(wide, np.outer(taps, taps), mode="valid")
    np.testing.assert_allclose(filter_bands(image, drawn)[0, 0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_each_band_is_hit_with_the_probability(p: float) -> None:
    """A hit changes all gains, since the power is kept: an image stays as it is with (1 - p)^4."""
    untouched = (gains(p) == 1).all(1).float().mean().item()
    assert untouched == pytest.approx((1 - p) ** 4, abs=0.015)


def test_gains_keep_the_expected_power_and_have_the_papers_strength() -> None:
    """Where one band alone is hit, the expected power is exactly what it was."""
    found = gains(0.3)
    ordered = found.sort(dim=1).values
    once = (ordered[:, 0] == ordered[:, 2]) | (ordered[:, 1] == ordered[:, 3])
    assert once.float().mean().item() == pytest.approx(0.7**4 + 4 * 0.3 * 0.7**3, abs=0.015)
    power = found[once].square() @ torch.tensor(EXPECTED_POWER)
    torch.testing.assert_close(power, torch.ones_like(power))
    found = gains(1.0)
    # the factor that keeps the power falls out of ratios of gains, which are 2^N(0, 1) over 2^N(0, 1)
    ratio = (found[:, 1] / found[:, 2]).log2()
    assert ratio.mean().item() == pytest.approx(0, abs=0.04)
    assert ratio.std().item() == pytest.approx(sqrt(2), rel=0.02)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_noise_is_half_normal_in_strength_and_white(p: float) -> None:
    strength = noise_strength(Pipe(noise=True), torch.tensor(p), draws(MANY))
    assert (strength > 0).float().mean().item() == pytest.approx(p, abs=0.015)
    assert strength.square().mean().sqrt().item() == pytest.approx(0.1 * sqrt(p), rel=0.04)
    noisy = add_noise(
        torch.zeros(2, 1, 64, 64), torch.tensor([0.1, 0.2]), [draws(2).stream(row) for row in (0, 1)]
    )
    assert noisy.std((1, 2, 3)).tolist() == pytest.approx([0.1, 0.2], rel=0.05)
    assert (noisy[0, 0, 1:] * noisy[0, 0, :-1]).mean().item() == pytest.approx(0, abs=0.001)
    assert (noisy[0] * noisy[1]).mean().item() == pytest.approx(0, abs=0.002)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_cutout_takes_a_quarter_of_an_image_at_most(p: float) -> None:
    side = 32
    cut = cut_out(
        torch.ones(4000, 1, side, side), cutout_box(Pipe(cutout=True), torch.tensor(p), draws(4000))
    )
    gone = (cut == 0).float().mean((1, 2, 3))
    assert (gone > 0).float().mean().item() == pytest.approx(p, abs=0.02)
    assert gone.max().item() == pytest.approx(0.25 if p else 0, abs=0.001)
    # a side's share: 1/2, less what a centre within 1/4 of an edge leaves outside, 1/4 · 1/2 on average
    assert gone.mean().item() == pytest.approx(p * (1 / 2 - 1 / 2 * 1 / 8) ** 2, rel=0.05, abs=1e-9)


@pytest.mark.parametrize("name", ["filter", "noise", "cutout"])
def test_derivatives_agree_with_finite_differences(name: str) -> None:
    images = torch.rand(2, 1, 8, 8, dtype=torch.float64).requires_grad_()
    pipe = Pipe(**{name: True})
    assert not torch.equal(augment(images, pipe, ONE, draws(2)), images)
    assert gradcheck(lambda x: augment(x, pipe, ONE, draws(2)) ** 2, images)
    assert gradgradcheck(lambda x: augment(x, pipe, ONE, draws(2)) ** 2, images)


@pytest.mark.parametrize("p", [0.2, 1.0])
def test_processes_that_share_a_batch_draw_what_one_would(p: float) -> None:
    images, chance = torch.rand(6, 3, 16, 16), torch.tensor(p)
    whole = augment(images, CORRUPTING, chance, draws(6))
    parts = [augment(images[rows], CORRUPTING, chance, draws(6, rows)) for rows in (slice(0, 2), slice(2, 6))]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_an_image_that_nothing_hits_is_not_touched() -> None:
    images = torch.rand(64, 1, 16, 16)
    same = (augment(images, CORRUPTING, torch.tensor(0.1), draws(64)) == images).flatten(1).all(1)
    assert 0.3 < same.float().mean().item() < 0.7
    assert augment(images, CORRUPTING, torch.tensor(0.0), draws(64)) is images


def test_nothing_but_streams_is_on_the_host_where_images_are_on_a_gpu() -> None:
    """A run without data: it fails where a value would have to come back, or devices are mixed."""
    with FakeTensorMode():
        images, p = torch.empty(4, 3, 32, 32, device="cuda"), torch.empty([], device="cuda")
        stream = torch.Generator().manual_seed(0)
        numbers = Draws(4, slice(0, 4), stream, images.device)
        assert augment(images, pipe_of("bgcfnc", 3), p, numbers).device.type == "cuda"
