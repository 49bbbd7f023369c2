import numpy as np
from numpy.typing import NDArray
import pytest
from scipy.signal import upfirdn
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from mura_jobs.gan.resample import blur, downsample, upsample

TAPS = np.array([1.0, 3.0, 3.0, 1.0]) / 8


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def along(axis: int, image: NDArray[np.float64], up: int, down: int, gain: float) -> NDArray[np.float64]:
    return np.asarray(upfirdn(TAPS * gain, image, up=up, down=down, axis=axis))


def test_upsampling_is_zero_insertion_and_filtering_by_scipy() -> None:
    x = noise(1, 1, 6, 8)
    full = along(1, along(0, x[0, 0].numpy(), 2, 1, 2.0), 2, 1, 2.0)
    # upfirdn starts with the first tap on the first pixel; the output is centred, one sample later
    np.testing.assert_allclose(upsample(x)[0, 0], full[1:13, 1:17], atol=1e-12)


def test_downsampling_is_filtering_and_every_second_sample_by_scipy() -> None:
    x = noise(1, 1, 6, 8)
    full = along(1, along(0, x[0, 0].numpy(), 1, 1, 1.0), 1, 1, 1.0)
    np.testing.assert_allclose(downsample(x)[0, 0], full[2:-1:2, 2:-1:2], atol=1e-12)


@pytest.mark.parametrize("padding", [1, 2])
def test_blurring_is_filtering_by_scipy(padding: int) -> None:
    x = noise(1, 1, 6, 8)
    full = along(1, along(0, x[0, 0].numpy(), 1, 1, 3.0), 1, 1, 1.0)
    cut = 3 - padding
    np.testing.assert_allclose(
        blur(x, padding, gain=3.0)[0, 0], full[cut : full.shape[0] - cut, cut : full.shape[1] - cut]
    )


def test_up_and_down_again_keeps_a_constant_inside() -> None:
    x = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(downsample(upsample(x))[:, :, 2:-2, 2:-2], x[:, :, 2:-2, 2:-2])


def test_upsampling_is_four_times_the_adjoint_of_downsampling() -> None:
    x, y = noise(2, 3, 8, 8), noise(2, 3, 4, 4, seed=1)
    torch.testing.assert_close((4 * downsample(x) * y).sum(), (x * upsample(y)).sum())


@pytest.mark.parametrize("operation", [upsample, downsample, lambda x: blur(x, 1, 4.0), lambda x: blur(x, 2)])
def test_first_and_second_derivatives_agree_with_finite_differences(operation: object) -> None:
    assert callable(operation)
    x = noise(2, 2, 4, 4).requires_grad_()
    assert gradcheck(lambda x: operation(x) ** 3, x)
    assert gradgradcheck(lambda x: operation(x) ** 3, x)


def test_channels_last_memory_stays_so() -> None:
    x = noise(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    for y in (upsample(x), downsample(x), blur(x, 1)):
        assert y.is_contiguous(memory_format=torch.channels_last)
