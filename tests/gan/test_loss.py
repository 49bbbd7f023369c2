from collections.abc import Callable
from math import log, sqrt

import pytest
import torch
from torch import Tensor
from torch.autograd import gradgradcheck

from mura_jobs.gan.discriminator import Discriminator
from mura_jobs.gan.generator import Generator
from mura_jobs.gan.loss import (
    discriminator_fake_loss,
    discriminator_real_loss,
    generator_loss,
    path_length_penalty,
    path_lengths,
    r1_penalty,
)
from tests.gan.small import drawn, network_config


def test_logistic_losses_are_negative_log_likelihoods() -> None:
    logits = torch.tensor([0.0, 2.0, -1.0], dtype=torch.float64)
    real = torch.sigmoid(logits)
    torch.testing.assert_close(generator_loss(logits), -real.log().mean())
    torch.testing.assert_close(discriminator_real_loss(logits), -real.log().mean())
    torch.testing.assert_close(discriminator_fake_loss(logits), -(1 - real).log().mean())
    assert generator_loss(torch.zeros(5)).item() == pytest.approx(log(2))


def test_r1_is_the_squared_gradient_by_finite_differences() -> None:
    discriminator = drawn(Discriminator(network_config(resolution=8))).double()
    real = torch.randn(2, 1, 8, 8).double().requires_grad_()
    penalty = r1_penalty(real, discriminator(real))
    step = 1e-5
    squares = torch.zeros(2, dtype=torch.float64)
    for image in range(2):
        for pixel in range(64):
            moved = torch.zeros_like(real).reshape(2, 64)
            moved[image, pixel] = step
            moved = moved.reshape(real.shape)
            change = discriminator(real + moved).sum() - discriminator(real - moved).sum()
            squares[image] += (change.detach() / (2 * step)) ** 2
    torch.testing.assert_close(penalty.detach(), squares, rtol=1e-5, atol=1e-9)


def test_gradients_of_r1_in_the_weights_by_finite_differences() -> None:
    discriminator = drawn(Discriminator(network_config(resolution=8))).double()
    real = torch.randn(2, 1, 8, 8).double().requires_grad_()
    assert _gradient_agrees(
        lambda: r1_penalty(real, discriminator(real)).sum(), dict(discriminator.named_parameters())
    )


def _path_length(generator: Generator, w: Tensor, direction: Tensor) -> Tensor:
    ws = generator.broadcast(w)
    image: Tensor = generator.synthesis(ws, None)
    return path_lengths(image, ws, direction)


def test_path_length_is_the_norm_of_the_jacobian_by_finite_differences() -> None:
    """Layers' w are moved one at a time; lengths are root mean squares over them."""
    generator = drawn(Generator(network_config(resolution=8))).double()
    layers, step = generator.synthesis.layers, 1e-5
    w = torch.randn(1, 512).double().requires_grad_()
    direction = torch.randn(1, 1, 8, 8).double()
    length = _path_length(generator, w, direction)

    def projected(ws: Tensor) -> Tensor:
        image: Tensor = generator.synthesis(ws, None)
        return (image * direction).sum() / 8

    ws = generator.broadcast(w).detach().clone()
    chosen = torch.randn(layers, 512, generator=torch.Generator().manual_seed(3)).double()
    # A directional derivative in every layer checks the gradient; its norm is what a length is made of.
    leaf = ws.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(projected(leaf), leaf)
    for layer in range(layers):
        moved = torch.zeros_like(ws)
        moved[:, layer] = step * chosen[layer]
        change = (projected(ws + moved) - projected(ws - moved)) / (2 * step)
        torch.testing.assert_close(
            change.detach(), (gradient[0, layer] * chosen[layer]).sum(), rtol=1e-5, atol=1e-8
        )
    expected = sqrt(gradient.square().sum(2).mean().item())
    assert length.item() == pytest.approx(expected)


def test_gradients_of_the_path_length_penalty_by_finite_differences() -> None:
    generator = drawn(Generator(network_config(resolution=8))).double()
    w, direction = torch.randn(2, 512).double().requires_grad_(), torch.randn(2, 1, 8, 8).double()
    target = torch.tensor(0.1, dtype=torch.float64)
    assert _gradient_agrees(
        lambda: path_length_penalty(_path_length(generator, w, direction), target),
        {name: p for name, p in generator.synthesis.named_parameters() if "noise_strength" not in name},
    )


def test_second_derivatives_of_the_whole_discriminator() -> None:
    discriminator = drawn(Discriminator(network_config(resolution=8, channel_max=2))).double()
    real = torch.randn(2, 1, 8, 8).double().requires_grad_()
    assert gradgradcheck(discriminator, real, fast_mode=True)


def _gradient_agrees(loss: Callable[[], Tensor], parameters: dict[str, Tensor]) -> bool:
    """Whether each parameter's gradient agrees with a central difference along a random direction."""
    found = torch.autograd.grad(loss(), list(parameters.values()), allow_unused=True, materialize_grads=True)
    stream, step = torch.Generator().manual_seed(5), 1e-5
    for (name, parameter), gradient in zip(parameters.items(), found, strict=True):
        direction = torch.randn(parameter.shape, generator=stream, dtype=parameter.dtype)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(direction, alpha=sign * step)
            values.append(loss().item())
            with torch.no_grad():
                parameter.add_(direction, alpha=-sign * step)
        difference = (values[0] - values[1]) / (2 * step)
        assert (gradient * direction).sum().item() == pytest.approx(difference, rel=1e-4, abs=1e-7), name
    return True
