"""Random changes of training images, each image its own, as pure functions of the numbers drawn.

torchvision's transforms draw one change for a whole batch, and from the global stream; called image by image
they take fifteen times as long at 32 pixels. So the moves of a batch are composed into one affine sampling.
"""

import math

import torch
from torch import Tensor
import torch.nn.functional as F

from mura_jobs.classifier.config import AugmentConfig

DRAWS = 7
"""Numbers drawn for each image."""


def draw(batch: int, stream: torch.Generator) -> Tensor:
    """Uniform numbers in [0, 1), shape (batch, DRAWS), on which `augment` depends."""
    return torch.rand(batch, DRAWS, generator=stream)


def augment(images_N1HW: Tensor, draws_ND: Tensor, config: AugmentConfig) -> Tensor:
    """Change each image by its own draws. What moves in from outside is black.

    Args:
        images_N1HW: grey values in [0, 1].
        draws_ND: from `draw`.
        config: how much of each change there may be.
    """
    flip, rotate, scale, shift_x, shift_y, brightness, contrast = draws_ND.to(images_N1HW.device).unbind(1)
    x = images_N1HW
    if config.flip:
        x = torch.where((flip < 0.5)[:, None, None, None], x.flip(3), x)
    if config.rotate or config.scale or config.shift:
        angle = (2 * rotate - 1) * math.radians(config.rotate)
        zoom = (1 + config.scale) ** (2 * scale - 1)
        # a side is 2 long in the coordinates of affine_grid
        shifts_N2 = torch.stack([2 * shift_x - 1, 2 * shift_y - 1], dim=1) * 2 * config.shift
        cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
        turn_N22 = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)
        theta_N23 = torch.cat([turn_N22, shifts_N2[:, :, None]], dim=2)
        grid = F.affine_grid(theta_N23, list(x.shape), align_corners=False)
        x = F.grid_sample(x, grid, padding_mode="zeros", align_corners=False)
    if config.contrast or config.brightness:
        factor = (1 + config.contrast) ** (2 * contrast - 1)
        offset = (2 * brightness - 1) * config.brightness
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        x = (x - mean) * factor[:, None, None, None] + mean + offset[:, None, None, None]
    return x
