import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from mura_jobs.errors import ConfigError
from mura_jobs.gan.layers import (
    Conv,
    FromImage,
    Linear,
    SynthesisLayer,
    ToImage,
    normalise_second_moment,
    resolutions,
)
from tests.gan.small import drawn


def test_normalised_rows_have_unit_second_moment() -> None:
    x = normalise_second_moment(5 * torch.randn(7, 512))
    torch.testing.assert_close(x.square().mean(1), torch.ones(7))


def test_equalised_layers_keep_unit_variance() -> None:
    """Whatever the fan-in, unit-variance input leaves with a second moment of 2 (1/2 + 0.2²/2) = 1.04."""
    linear = Linear(300, 4000, activate=True)
    conv = Conv(64, 64, 3)
    for layer in (linear, conv):
        drawn(layer)
        assert layer.bias is not None
        torch.nn.init.zeros_(layer.bias)
    assert linear(torch.randn(50, 300)).square().mean().item() == pytest.approx(1.04, rel=0.03)
    inside = conv(torch.randn(8, 64, 16, 16))[:, :, 1:-1, 1:-1]
    assert inside.square().mean().item() == pytest.approx(1.04, rel=0.05)


def test_a_learning_rate_multiplier_scales_steps_and_not_outputs() -> None:
    """Weights are stored 1/m larger and used m times smaller, so that a step of Adam weighs m times."""
    slow, plain = Linear(64, 64, lr_multiplier=0.01), Linear(64, 64)
    for layer in (slow, plain):
        drawn(layer)
        torch.nn.init.zeros_(layer.bias)
    x = torch.randn(5, 64)
    torch.testing.assert_close(slow(x), plain(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(slow.weight, 100 * plain.weight)


def reference(layer: SynthesisLayer, x: torch.Tensor, w: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """StyleGAN2, eqs. 1 and 3, image by image with weights of its own."""
    images = []
    for image, style, drawn_noise in zip(x, layer.affine(w), noise, strict=True):
        weight = layer.weight * style[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if layer.up:
            wide = F.conv_transpose2d(image[None], weight.transpose(0, 1), stride=2)
            taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype) / 4
            kernel = torch.outer(taps, taps).expand(len(weight), 1, 4, 4)
            y = F.conv2d(wide, kernel, padding=1, groups=len(weight))
        else:
            y = F.conv2d(image[None], weight, padding=1)
        y = y + layer.noise_strength * drawn_noise + layer.bias[:, None, None]
        images.append(F.leaky_relu(y, 0.2) * 2**0.5)
    return torch.cat(images)


@pytest.mark.parametrize("up", [False, True])
def test_scaling_activations_is_modulating_weights(up: bool) -> None:
    layer = drawn(SynthesisLayer(5, 3, 8, 8, up=up)).double()
    side = 4 if up else 8
    x, w = torch.randn(2, 5, side, side).double(), torch.randn(2, 8).double()
    noise = torch.randn(2, 1, 8, 8).double()
    torch.testing.assert_close(layer(x, w, noise), reference(layer, x, w, noise))


def test_demodulation_gives_unit_variance() -> None:
    """Whatever the styles, unit-variance input leaves the convolution with unit variance in every channel."""
    layer = drawn(SynthesisLayer(64, 16, 32, 64, up=False))
    for parameter in (layer.bias, layer.noise_strength):
        torch.nn.init.zeros_(parameter)
    y = layer(torch.randn(4, 64, 64, 64), 10 * torch.randn(4, 32), None)[:, :, 1:-1, 1:-1]
    before = torch.where(y < 0, y / 0.2, y) / 2**0.5
    torch.testing.assert_close(before.std((2, 3)), torch.ones(4, 16), rtol=0, atol=0.1)


@pytest.mark.parametrize("up", [False, True])
def test_second_derivatives_of_the_synthesis_layer(up: bool) -> None:
    layer = drawn(SynthesisLayer(2, 2, 3, 4, up=up)).double()
    side = 2 if up else 4
    x = torch.randn(2, 2, side, side).double().requires_grad_()
    w, noise = torch.randn(2, 3).double().requires_grad_(), torch.randn(2, 1, 4, 4).double()
    assert gradcheck(lambda x, w: layer(x, w, noise), (x, w))
    assert gradgradcheck(lambda x, w: layer(x, w, noise), (x, w))


def test_to_image_is_a_modulated_convolution_without_demodulation() -> None:
    layer = drawn(ToImage(6, 3, 8)).double()
    x, w = torch.randn(2, 6, 4, 4).double(), torch.randn(2, 8).double()
    styles = layer.affine(w) / 6**0.5
    expected = torch.cat(
        [
            F.conv2d(image[None], layer.weight * style[None, :, None, None], layer.bias)
            for image, style in zip(x, styles, strict=True)
        ]
    )
    torch.testing.assert_close(layer(x, w), expected)


def test_from_image_is_a_convolution() -> None:
    layer = drawn(FromImage(3, 5)).double()
    x = torch.randn(2, 3, 4, 4).double()
    expected = F.leaky_relu(F.conv2d(x, layer.weight / 3**0.5, layer.bias), 0.2) * 2**0.5
    y = layer(x)
    torch.testing.assert_close(y, expected)
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("wrong", "advice"), [(28, "16 or 32"), (4, "8 or 16"), (257, "256 or 512")])
def test_other_resolutions_are_refused_with_the_fix(wrong: int, advice: str) -> None:
    with pytest.raises(ConfigError, match=f"preprocess.resolution to {advice}"):
        resolutions(wrong)
    assert resolutions(32) == [4, 8, 16, 32]
