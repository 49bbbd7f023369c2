"""Grad-CAM: where in an image a classifier found what its call rests on (Selvaraju et al. 2017)."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor, nn
import torch.nn.functional as F

from mura_jobs.features.network import DEVIATION, MEAN, Classifier

MIN_SIDE = 4
"""Coarser feature maps than this many pixels a side say nothing about place."""


def gradcam(network: Classifier, images_N1HW: Tensor, positive_N: Tensor) -> Tensor:
    """Maps of what speaks for the call that is named, shape (N, H, W), each from 0 to 1.

    The weight of a feature map is the mean of its gradient (eq. 1); the map is the rectified weighted sum
    (eq. 2), resized to the image and divided by its maximum; it is 0 where nothing speaks for the call. The
    feature maps are the deepest of at least MIN_SIDE pixels a side, which for images of usual size are the
    last ones, as in the paper.

    Args:
        network: the classifier; its parameters' gradients are left alone.
        images_N1HW: grey values in [0, 1].
        positive_N: of each image, whether the evidence for positive or for negative is wanted.
    """
    network.eval()
    modules = list(blocks(network.features))
    x, after, rest = (images_N1HW - MEAN) / DEVIATION, images_N1HW, modules
    with torch.no_grad():
        for applied, module in enumerate(modules, start=1):
            x = module(x)
            if x.shape[-1] >= MIN_SIDE:
                after, rest = x.clone(), modules[applied:]
    with torch.enable_grad():
        maps_NCHW = after.requires_grad_()
        # what follows may change its input in place, which a leaf can't suffer
        x = maps_NCHW.clone()
        for module in rest:
            x = module(x)
        logits_N = network.logit(network.norm(network.pool(x)).flatten(1)).squeeze(1)
        score = torch.where(positive_N, logits_N, -logits_N).sum()
        (gradient_NCHW,) = torch.autograd.grad(score, maps_NCHW)
    weight_NC11 = gradient_NCHW.mean(dim=(2, 3), keepdim=True)
    cam_N1HW = (weight_NC11 * maps_NCHW.detach()).sum(dim=1, keepdim=True).relu()
    cam_N1HW = F.interpolate(cam_N1HW, size=images_N1HW.shape[2:], mode="bilinear", align_corners=False)
    cam_NHW = cam_N1HW.squeeze(1)
    top_N = cam_NHW.amax(dim=(1, 2), keepdim=True)
    return torch.where(top_N > 0, cam_NHW / top_N, torch.zeros_like(cam_NHW))


def blocks(features: nn.Module) -> Iterator[nn.Module]:
    """A network's features as modules to be applied one after another."""
    for child in features.children():
        if type(child) is nn.Sequential:
            yield from blocks(child)
        else:
            yield child


def as_grey(maps_NHW: Tensor, side: int) -> NDArray[np.uint8]:
    """Maps from 0 to 1 as uint8 pictures of the given side."""
    resized = F.interpolate(maps_NHW[:, None], size=(side, side), mode="bilinear", align_corners=False)
    return (resized.squeeze(1) * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
