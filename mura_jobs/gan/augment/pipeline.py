"""Augmentation of a batch: draw what hits each image, and do only that."""

from collections.abc import Callable

import torch
from torch import Tensor

from mura_jobs.gan.augment.bands import band_gains, filter_bands
from mura_jobs.gan.augment.colour import colour_transform, recolour
from mura_jobs.gan.augment.corrupt import add_noise, cut_out, cutout_box, noise_strength
from mura_jobs.gan.augment.draws import Draws
from mura_jobs.gan.augment.geometry import inverse_transform, warp
from mura_jobs.gan.augment.presets import Pipe

Rows = list[int] | slice
"""Which images of a batch: some, or all."""


def augment(images_NCHW: Tensor, pipe: Pipe, p: Tensor, draws: Draws) -> Tensor:
    """Augment a batch, differentiably in the images (ADA, figure 2c).

    Args:
        images_NCHW: square images in [-1, 1].
        pipe: the operations there are.
        p: the probability with which each hits an image, shape (), on the images' device.
        draws: where the numbers come from.

    Returns:
        The same shape; an image that no operation hits is returned as it is.
    """
    if pipe == Pipe():
        return images_NCHW
    inverse = inverse_transform(pipe, p, draws, images_NCHW.shape[-1])
    colour = colour_transform(pipe, p, draws)
    images = _where(_is_changed(inverse), images_NCHW, lambda x, rows: warp(x, inverse[rows]))
    images = _where(_is_changed(colour), images, lambda x, rows: recolour(x, colour[rows]))
    if pipe.filter:
        gains = band_gains(pipe, p, draws)
        images = _where(gains != 1, images, lambda x, rows: filter_bands(x, gains[rows]))
    if pipe.noise:
        strength = noise_strength(pipe, p, draws)
        images = _where(
            strength > 0, images, lambda x, rows: add_noise(x, strength[rows], _streams(draws, rows, len(x)))
        )
    if pipe.cutout:
        box = cutout_box(pipe, p, draws)
        images = _where(box[:, 0] < box[:, 1], images, lambda x, rows: cut_out(x, box[rows]))
    return images


def _is_changed(matrices: Tensor) -> Tensor:
    """Where matrices are not the identity."""
    return matrices != torch.eye(matrices.shape[-1], device=matrices.device)


def _where(changed: Tensor, images_NCHW: Tensor, operation: Callable[[Tensor, Rows], Tensor]) -> Tensor:
    """Run the operation, on images and their rows in the batch, where something in a row is to be changed.

    On a GPU all of them run: picking some would have the host wait for the device.
    """
    every = slice(None)
    if images_NCHW.device.type != "cpu":
        return operation(images_NCHW, every)
    rows = changed.reshape(len(changed), -1).any(1).nonzero()[:, 0].tolist()
    if len(rows) == len(images_NCHW):
        return operation(images_NCHW, every)
    if len(rows) == 0:
        return images_NCHW
    return images_NCHW.index_copy(0, torch.tensor(rows), operation(images_NCHW[rows], rows))


def _streams(draws: Draws, rows: Rows, count: int) -> list[torch.Generator]:
    numbers = range(count) if isinstance(rows, slice) else rows
    return [draws.stream(row) for row in numbers]
