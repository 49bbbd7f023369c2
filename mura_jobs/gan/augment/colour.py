"""Colour augmentation: all operations of an image composed to one affine map of its channels (ADA, B.3)."""

from math import pi, sqrt

import torch
from torch import Tensor

from mura_jobs.gan.augment.draws import Draws
from mura_jobs.gan.augment.presets import Pipe


def colour_transform(pipe: Pipe, p: Tensor, draws: Draws) -> Tensor:
    """Draw an image's operations: homogeneous matrices (N, 4, 4) on RGB, the identity where none hits."""
    one = torch.ones_like(draws.uniform())
    eye = torch.eye(4, device=p.device)
    grey = torch.tensor([1.0, 1.0, 1.0, 0.0], device=p.device) / sqrt(3)
    along = torch.outer(grey, grey)
    across = torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0], device=p.device)) - along
    homogeneous = eye - along - across
    steps: list[Tensor] = []
    if pipe.brightness:
        amount = draws.normal() * pipe.brightness_std * draws.chance(p)
        offset = torch.zeros(4, 4, device=p.device)
        offset[:3, 3] = 1
        steps.append(eye + amount[:, None, None] * offset)
    if pipe.contrast:
        factor = torch.exp2(draws.normal() * pipe.contrast_log2 * draws.chance(p))
        steps.append(factor[:, None, None] * (along + across) + homogeneous)
    if pipe.luma_flip:
        hit = draws.chance(p) & (draws.uniform() < 0.5)
        steps.append(eye - 2 * torch.where(hit, one, 0 * one)[:, None, None] * along)
    if pipe.hue:
        angle = (draws.uniform(-pi, pi) * draws.chance(p))[:, None, None]
        turn = torch.zeros(4, 4, device=p.device)
        turn[:3, :3] = torch.linalg.cross(torch.eye(3, device=p.device), grey[:3].expand(3, 3))
        # Rodrigues' formula about the grey axis.
        steps.append(along + homogeneous + angle.cos() * across + angle.sin() * turn)
    if pipe.saturation:
        factor = torch.exp2(draws.normal() * draws.chance(p))
        steps.append(along + homogeneous + factor[:, None, None] * across)
    total = eye.expand(len(one), 4, 4)
    for step in steps:
        total = step @ total
    return total


def recolour(images_NCHW: Tensor, transform_N44: Tensor) -> Tensor:
    """Apply the maps to images of one or three channels.

    A single channel is taken for a grey RGB image, of which the mean channel is kept.
    """
    matrix = transform_N44.to(images_NCHW.dtype)
    linear, offset = matrix[:, :3, :3], matrix[:, :3, 3]
    channels = images_NCHW.shape[1]
    if channels == 1:
        return images_NCHW * linear.sum((1, 2))[:, None, None, None] / 3 + offset.mean(1)[:, None, None, None]
    assert channels == 3, f"colour augmentation of {channels} channels"
    return torch.einsum("nij,njhw->nihw", linear, images_NCHW) + offset[:, :, None, None]
