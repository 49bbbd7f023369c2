"""Augmentation of a batch: draw what hits each image, and do only that."""

from collections.abc import Callable

import torch
from torch import Tensor

from mura_jobs.gan.augment.colour import colour_transform, recolour
from mura_jobs.gan.augment.draws import Draws
from mura_jobs.gan.augment.geometry import inverse_transform, warp
from mura_jobs.gan.augment.presets import Pipe


def augment(images_NCHW: Tensor, pipe: Pipe, p: Tensor, draws: Draws) -> Tensor:
    """Augment a batch, differentiably in the images (ADA, figure 2c).

    Args:
        images_NCHW: square images in [-1, 1].
        pipe: the operations there are.
        p: the probability with which each hits an image, shape (), on the CPU or the images' device.
        draws: where the numbers come from.

    Returns:
        The same shape; an image that no operation hits is returned as it is.
    """
    if pipe == Pipe():
        return images_NCHW
    inverse = inverse_transform(pipe, p, draws, images_NCHW.shape[-1])
    colour = colour_transform(pipe, p, draws)
    images = _where_changed(images_NCHW, inverse, warp)
    return _where_changed(images, colour, recolour)


def _where_changed(
    images_NCHW: Tensor, matrices: Tensor, operation: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Run the operation on those images whose matrix is not the identity.

    On a GPU all of them run: picking some would have the device wait for the host.
    """
    matrices = matrices.to(images_NCHW.device)
    if images_NCHW.device.type == "cuda":
        return operation(images_NCHW, matrices)
    identity = torch.eye(matrices.shape[-1], device=matrices.device)
    rows = (matrices != identity).flatten(1).any(1).nonzero()[:, 0]
    if len(rows) == len(images_NCHW):
        return operation(images_NCHW, matrices)
    if len(rows) == 0:
        return images_NCHW
    return images_NCHW.index_copy(0, rows, operation(images_NCHW[rows], matrices[rows]))
