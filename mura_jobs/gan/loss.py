"""The losses, as pure functions of logits, images and their gradients."""

from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional as F


def generator_loss(fake_logits_N: Tensor) -> Tensor:
    """Non-saturating logistic loss, shape (): mean of -log sigmoid(D(fake)) (Goodfellow et al. 2014)."""
    return F.softplus(-fake_logits_N).mean()


def discriminator_fake_loss(fake_logits_N: Tensor) -> Tensor:
    """Mean of -log(1 - sigmoid(D(fake))), shape ()."""
    return F.softplus(fake_logits_N).mean()


def discriminator_real_loss(real_logits_N: Tensor) -> Tensor:
    """Mean of -log sigmoid(D(real)), shape ()."""
    return F.softplus(-real_logits_N).mean()


def r1_penalty(real_NCHW: Tensor, logits_N: Tensor) -> Tensor:
    """Squared norm of D's gradient at each real image, shape (N,) (R1, eq. 9, without gamma / 2)."""
    (gradient,) = torch.autograd.grad(logits_N.sum(), real_NCHW, create_graph=True)
    return gradient.square().sum((1, 2, 3))


def path_lengths(image_NCHW: Tensor, ws_NLF: Tensor, direction_NCHW: Tensor) -> Tensor:
    """Norm of the image's change along a random direction, for a step in w: shape (N,).

    ||J_w^T y|| of StyleGAN2, eq. 4, root mean square over the layers' w, as in the authors' code.

    Args:
        image_NCHW: made from `ws_NLF`.
        ws_NLF: w for each layer.
        direction_NCHW: y, standard normal; divided by sqrt(H W), so that lengths do not grow with resolution.
    """
    height, width = image_NCHW.shape[2:]
    projection = (image_NCHW * direction_NCHW).sum() / sqrt(height * width)
    (gradient,) = torch.autograd.grad(projection, ws_NLF, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()


def path_length_penalty(lengths_N: Tensor, target: Tensor) -> Tensor:
    """Mean squared deviation of path lengths from the running mean `target`, shape () (StyleGAN2, eq. 4)."""
    return (lengths_N - target).square().mean()
