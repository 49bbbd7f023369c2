"""Projection: the w, and the noise maps, whose image comes closest to a given one (StyleGAN2, appendix D)."""

from collections.abc import Callable, Sequence
from math import cos, pi
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mura_jobs.gan.generator import W_DIM, Z_DIM, Generator
from mura_jobs.job.randomness import torch_stream
from mura_jobs.synthetic.latent.config import ProjectConfig

Distance = Callable[[Tensor], Tensor]
"""Images in [-1, 1], (N, C, R, R), to the distance of each from its target, (N,)."""

RISE, FALL, QUIET = 0.05, 0.25, 0.75
"""Shares of the steps: the learning rate rises, the learning rate falls, noise is added to w."""

_Z_AT_ONCE = 1000
_COARSEST = 8
"""Noise maps are compared with themselves down to this side; smaller ones are left alone."""


class Projection(NamedTuple):
    """What was found for each target."""

    w: Tensor
    """(N, 512)."""
    noise: list[Tensor]
    """The noise maps of each convolution, (N, 1, H, W)."""
    mean: Tensor
    """Mean of w, where all began."""
    deviation: float
    """Root mean squared distance of w from it."""


def project(
    generator: Generator,
    distance: Distance,
    names: Sequence[str],
    config: ProjectConfig,
    each: Callable[[int, Tensor], None],
) -> Projection:
    """Go down from the mean w.

    Args:
        generator: without gradients of its own.
        distance: from the targets.
        names: of the targets: each one's draws depend on its name and the seed alone.
        config: steps and strengths.
        each: called with the step and the distances (N,) before it; may raise.
    """
    device = generator.mapping.w_avg.device
    mean_F, deviation = statistics(generator, config.w_samples, config.seed)
    streams = [torch_stream(config.seed, "project", name) for name in names]
    w_NF = mean_F.repeat(len(names), 1).requires_grad_()
    drawn = [generator.random_noise(1, stream) for stream in streams]
    noise = [torch.cat(maps).to(device).requires_grad_() for maps in zip(*drawn, strict=True)]
    adam = torch.optim.Adam([w_NF, *noise])
    for step in range(config.steps):
        done = step / config.steps
        adam.param_groups[0]["lr"] = config.learning_rate * ramp(done)
        shake = torch.stack([torch.randn(W_DIM, generator=stream) for stream in streams]).to(device)
        strength = config.w_noise * deviation * max(0.0, 1 - done / QUIET) ** 2
        images = generator.synthesis(generator.broadcast(w_NF + strength * shake), noise)
        apart_N = distance(images)
        each(step, apart_N.detach())
        loss = apart_N.sum() + config.noise_weight * noise_penalty(noise)
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
        standardise_(noise)
    return Projection(w_NF.detach(), [maps.detach() for maps in noise], mean_F, deviation)


@torch.inference_mode()
def statistics(generator: Generator, samples: int, seed: int) -> tuple[Tensor, float]:
    """The mean of w (512,), and the root mean squared distance of w from it."""
    stream = torch_stream(seed, "w statistics")
    parts = torch.split(torch.randn(samples, Z_DIM, generator=stream), _Z_AT_ONCE)
    w = torch.cat([generator.mapping(z.to(generator.mapping.w_avg.device)) for z in parts])
    mean = w.mean(0)
    return mean.clone(), float((w - mean).square().sum(1).mean().sqrt())


def ramp(done: float) -> float:
    """The learning rate's factor (0 to 1) when a share of the steps is done: linear rise, cosine fall."""
    fall = 0.5 - 0.5 * cos(pi * min(1.0, (1 - done) / FALL))
    return fall * min(1.0, done / RISE)


def noise_penalty(noise: Sequence[Tensor]) -> Tensor:
    """Squared correlations of each noise map with itself, moved by one pixel, at several scales, summed.

    Each scale is half the one before, with unit variance kept for what is noise (appendix D, equation 7).
    """
    total = noise[0].new_zeros(())
    for maps in noise:
        level = maps
        while level.shape[-1] >= _COARSEST:
            for axis in (2, 3):
                total = total + (level * level.roll(1, axis)).mean((1, 2, 3)).square().sum()
            level = F.avg_pool2d(level, 2) * 2
    return total


@torch.no_grad()
def standardise_(noise: Sequence[Tensor]) -> None:
    """Give each map of each image mean 0 and variance 1, in place."""
    for maps in noise:
        maps.sub_(maps.mean((2, 3), keepdim=True))
        maps.mul_(maps.square().mean((2, 3), keepdim=True).add(1e-12).rsqrt())


def pixel_distance(target_NCRR: Tensor) -> Distance:
    """Mean squared differences at the full scale, the half, and on down to 4×4, summed."""

    def apart(images_NCRR: Tensor) -> Tensor:
        difference = images_NCRR.float() - target_NCRR
        total = difference.square().mean((1, 2, 3))
        while difference.shape[-1] > 4:
            difference = F.avg_pool2d(difference, 2)
            total = total + difference.square().mean((1, 2, 3))
        return total

    return apart


def feature_distance(target_NCRR: Tensor, embed: Callable[[Tensor], Tensor]) -> Distance:
    """The same, and the squared difference of features over the target's squared length.

    Args:
        target_NCRR: images in [-1, 1].
        embed: grey images in [0, 1], (N, 1, R, R), to features (N, F).
    """
    pixels = pixel_distance(target_NCRR)

    def features(images_NCRR: Tensor) -> Tensor:
        return embed((images_NCRR.float().mean(1, keepdim=True).clamp(-1, 1) + 1) / 2)

    with torch.no_grad():
        wanted_NF = features(target_NCRR)
    length_N = wanted_NF.square().sum(1)

    def apart(images_NCRR: Tensor) -> Tensor:
        return pixels(images_NCRR) + (features(images_NCRR) - wanted_NF).square().sum(1) / length_N

    return apart
