"""Corruption of an image: additive noise and cutout (ADA, appendix B.5 and B.6)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mura_jobs.gan.augment.draws import Draws
from mura_jobs.gan.augment.presets import Pipe


def noise_strength(pipe: Pipe, p: Tensor, draws: Draws) -> Tensor:
    """Draw the noise's standard deviation in each image, (N,): half-normal where it hits, else 0."""
    return draws.normal().abs() * pipe.noise_std * draws.chance(p)


def add_noise(images_NCHW: Tensor, strength_N: Tensor, streams: Sequence[torch.Generator]) -> Tensor:
    """Add normal noise to every pixel of every channel, each image's from a stream of its own."""
    noise = torch.stack([torch.randn(images_NCHW.shape[1:], generator=stream) for stream in streams])
    strength_N111 = strength_N.to(images_NCHW.dtype)[:, None, None, None]
    return images_NCHW + noise.to(images_NCHW) * strength_N111


def cutout_box(pipe: Pipe, p: Tensor, draws: Draws) -> Tensor:
    """Draw the square to cut out of each image: left, right, top, bottom, (N, 4), on an image from 0 to 1.

    Its centre lies anywhere in the image. It is empty where none hits.
    """
    half = draws.chance(p) * (pipe.cutout_share / 2)
    x, y = draws.uniform(), draws.uniform()
    return torch.stack([x - half, x + half, y - half, y + half], dim=1)


def cut_out(images_NCHW: Tensor, box_N4: Tensor) -> Tensor:
    """Set those pixels to 0, middle grey, whose centre lies within the box."""
    height, width = images_NCHW.shape[2:]
    left, right, top, bottom = (edge[:, None] for edge in box_N4.unbind(1))
    x = (torch.arange(width, device=images_NCHW.device) + 0.5) / width
    y = (torch.arange(height, device=images_NCHW.device) + 0.5) / height
    across, down = (left <= x) & (x < right), (top <= y) & (y < bottom)
    kept = ~(down[:, :, None] & across[:, None, :])
    return images_NCHW * kept[:, None].to(images_NCHW.dtype)
