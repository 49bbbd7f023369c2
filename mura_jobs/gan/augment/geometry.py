"""Geometric augmentation: all operations of an image composed to one matrix, sampled once (ADA, B.2).

Coordinates run from -1 to 1 over the width of the image, edge to edge, x to the right and y down. A matrix
(N, 3, 3) takes output coordinates to input coordinates, the inverse of what is done to the image.
"""

from functools import lru_cache
from math import pi, sqrt

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mura_jobs.gan.augment.draws import Draws
from mura_jobs.gan.augment.mirror import mirrored
from mura_jobs.gan.augment.presets import Pipe

SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
"""Low-pass filter of the wavelet "sym6" (Daubechies, Ten lectures on wavelets, table 6.3). It is orthonormal:
downsampling by it undoes upsampling by it exactly."""

CENTRE = float(np.dot(np.arange(len(SYM6)), SYM6) / np.sum(SYM6))
"""Where the filter's centre of mass lies among its taps: "sym" only means nearly symmetric."""

MARGIN = len(SYM6) // 2 - 1
"""Samples at twice the resolution that downsampling reaches beyond each edge."""


def inverse_transform(pipe: Pipe, p: Tensor, draws: Draws, width: int) -> Tensor:
    """Draw an image's operations: matrices (N, 3, 3), the identity where none hits.

    Args:
        pipe: the operations there are.
        p: probability of each, shape ().
        draws: where the numbers come from.
        width: of the square images in pixels, for shifts by whole pixels.
    """
    steps: list[Tensor] = []
    one = torch.ones_like(draws.uniform())
    if pipe.flip:
        hit = draws.chance(p) & (draws.uniform() < 0.5)
        steps.append(_scaling(torch.where(hit, -one, one), one))
    if pipe.rotate90:
        turns = (draws.uniform(0, 4)).floor() * draws.chance(p)
        steps.append(_rotation(turns * (pi / 2)))
    if pipe.shift:
        hit, x, y = draws.chance(p), *(draws.uniform(-pipe.shift_share, pipe.shift_share) for _ in "xy")
        steps.append(_translation(*((hit * (shift * width).round() / width * 2) for shift in (x, y))))
    if pipe.scale:
        factor = torch.exp2(draws.normal() * pipe.scale_log2 * draws.chance(p))
        steps.append(_scaling(1 / factor, 1 / factor))
    # The chance that either rotation happens is p.
    p_rotate = 1 - (1 - p.clamp(0, 1)).sqrt()
    if pipe.rotate:
        steps.append(_rotation(_angle(pipe, p_rotate, draws)))
    if pipe.stretch:
        factor = torch.exp2(draws.normal() * pipe.scale_log2 * draws.chance(p))
        steps.append(_scaling(1 / factor, factor))
    if pipe.rotate:
        steps.append(_rotation(_angle(pipe, p_rotate, draws)))
    if pipe.fractional_shift:
        hit, x, y = draws.chance(p), draws.normal(), draws.normal()
        steps.append(_translation(*(hit * normal * pipe.shift_share * 2 for normal in (x, y))))
    total = torch.eye(3, device=p.device).expand(len(one), 3, 3)
    for step in steps:
        total = total @ step
    return total


def warp(images_NCHW: Tensor, inverse_N33: Tensor) -> Tensor:
    """Sample square images at transformed places: the same shape, differentiable twice in the images.

    Upsampled by 2, sampled bilinearly, low-pass filtered and downsampled again, against aliasing. Beyond its
    edges the image goes on mirrored.
    """
    size = images_NCHW.shape[-1]
    up, down = _resamplers(size, images_NCHW.dtype, images_NCHW.device)
    fine = up @ images_NCHW.contiguous() @ up.T
    side = down.shape[1]
    place = inverse_N33[:, :2].to(images_NCHW.dtype)
    linear, shift = place[:, :, :2], place[:, :, 2:]
    # Samples lie a part of a pixel beside the symmetric place that grid_sample takes them for.
    offset = (len(SYM6) / 2 - 0.5 - CENTRE) / size
    shift = shift + (linear.sum(2, keepdim=True) - 1) * offset
    # The sampled area extends beyond the image by what downsampling reaches.
    place = torch.cat([linear * (side / (2 * size)), shift], dim=2)
    grid = F.affine_grid(place, [*images_NCHW.shape[:2], side, side], align_corners=False)
    moved = F.grid_sample(fine, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return down @ moved @ down.T


@lru_cache(maxsize=16)
def _resamplers(size: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Matrices that double and halve the resolution of a column of pixels.

    Upsampled sample j reaches pixel i by the tap j - 2i + MARGIN.

    Returns:
        up (2 size, size), with mirrored edges; down (size, 2 size + 2 MARGIN), from samples that begin MARGIN
        before the edge.
    """
    wide = 2 * size + 2 * MARGIN
    down = np.zeros((size, wide))
    for pixel in range(size):
        down[pixel, 2 * pixel : 2 * pixel + len(SYM6)] = SYM6
    up = np.zeros((2 * size, size))
    reach = MARGIN + 1
    places = np.arange(-reach, size + reach)
    for place, pixel in zip(places.tolist(), mirrored(places, size), strict=True):
        for tap, value in enumerate(SYM6):
            sample = 2 * place + tap - MARGIN
            if 0 <= sample < 2 * size:
                up[sample, pixel] += value
    return (
        torch.tensor(up * sqrt(2), dtype=dtype, device=device),
        torch.tensor(down / sqrt(2), dtype=dtype, device=device),
    )


def _angle(pipe: Pipe, p: Tensor, draws: Draws) -> Tensor:
    limit = pipe.rotate_degrees / 180 * pi
    return draws.uniform(-limit, limit) * draws.chance(p)


def _matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix((x, zero, zero), (zero, y, zero), (zero, zero, one))


def _translation(x: Tensor, y: Tensor) -> Tensor:
    """The inverse of moving the image by (x, y)."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix((one, zero, -x), (zero, one, -y), (zero, zero, one))


def _rotation(angle: Tensor) -> Tensor:
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    sin, cos = angle.sin(), angle.cos()
    return _matrix((cos, sin, zero), (-sin, cos, zero), (zero, zero, one))
