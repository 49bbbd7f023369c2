"""The published equations, evaluated step by step and slowly, on a dictionary of published names.

Nothing of the project is used here. Convolutions are sums over explicit weights of each image, resampling is
zero insertion, padding and a filter, as StyleGAN2's appendix B and figures 2 and 7 have them. Layers that
change no resolution correlate with their weights, as do those that halve it; those that double it convolve,
the adjoint of the former.
"""

from collections.abc import Mapping
from math import log2, sqrt

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Tensors = Mapping[str, Tensor]

TAPS = np.array([1.0, 3.0, 3.0, 1.0])
FILTER = torch.from_numpy(np.outer(TAPS, TAPS) / TAPS.sum() ** 2)


def lrelu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x) * sqrt(2)


def upfirdn(x_NCHW: Tensor, up: int, down: int, pad: tuple[int, int], gain: float = 1.0) -> Tensor:
    """Insert zeros, pad each side before and after, filter, keep every `down`-th pixel."""
    n, c, h, w = x_NCHW.shape
    y = torch.zeros(n, c, h * up, w * up, dtype=x_NCHW.dtype)
    y[:, :, ::up, ::up] = x_NCHW
    y = F.pad(y, (pad[0], pad[1], pad[0], pad[1]))
    taps = FILTER.flip((0, 1)).expand(c, 1, 4, 4) * gain
    return F.conv2d(y, taps, groups=c)[:, :, ::down, ::down]


def dense(p: Tensors, name: str, x: Tensor, rate: float = 1.0) -> Tensor:
    weight = p[f"{name}.weight"]
    return x @ weight.T * (rate / sqrt(weight.shape[1])) + p[f"{name}.bias"] * rate


def unit(x: Tensor) -> Tensor:
    return x / torch.sqrt(torch.mean(x**2, dim=1, keepdim=True) + 1e-8)


def mapping(p: Tensors, z: Tensor | None, label: Tensor | None) -> Tensor:
    parts = [] if z is None else [unit(z)]
    if label is not None:
        parts.append(unit(dense(p, "mapping.embed", label)))
    x = torch.cat(parts, 1)
    layer = 0
    while f"mapping.fc{layer}.weight" in p:
        x = lrelu(dense(p, f"mapping.fc{layer}", x, 0.01))
        layer += 1
    return x


def modulated(x: Tensor, weight: Tensor, styles: Tensor, *, demodulate: bool, up: bool) -> Tensor:
    """Each image with a weight of its own."""
    images = []
    for image, style in zip(x, styles, strict=True):
        w = weight * style[None, :, None, None]
        if demodulate:
            w = w / torch.sqrt((w**2).sum((1, 2, 3), keepdim=True) + 1e-8)
        if up:
            sparse = torch.zeros(
                image.shape[0], 2 * image.shape[1] - 1, 2 * image.shape[2] - 1, dtype=x.dtype
            )
            sparse[:, ::2, ::2] = image
            # a convolution flips what a correlation does not
            full = F.conv2d(sparse[None], w.flip((2, 3)), padding=2)
            images.append(upfirdn(full, 1, 1, (1, 1), gain=4.0)[0])
        else:
            images.append(F.conv2d(image[None], w, padding=weight.shape[2] // 2)[0])
    return torch.stack(images)


def generator(p: Tensors, z: Tensor, label: Tensor | None = None, psi: float = 1.0) -> Tensor:
    """Images with the stored noise."""
    w = mapping(p, z, label)
    w = p["mapping.w_avg"] + psi * (w - p["mapping.w_avg"])
    x = p["synthesis.b4.const"].expand(len(z), -1, -1, -1)
    image, side = torch.zeros(len(z), 1, 1, 1, dtype=z.dtype), 4
    while f"synthesis.b{side}.conv1.weight" in p:
        block = f"synthesis.b{side}"
        for layer in ("conv0", "conv1"):
            name = f"{block}.{layer}"
            if f"{name}.weight" not in p:
                continue
            styles = dense(p, f"{name}.affine", w)
            x = modulated(x, p[f"{name}.weight"], styles, demodulate=True, up=layer == "conv0")
            x = x + p[f"{name}.noise_const"] * p[f"{name}.noise_strength"]
            x = lrelu(x + p[f"{name}.bias"][:, None, None])
        weight = p[f"{block}.torgb.weight"]
        styles = dense(p, f"{block}.torgb.affine", w) / sqrt(weight.shape[1])
        shown = modulated(x, weight, styles, demodulate=False, up=False)
        shown = shown + p[f"{block}.torgb.bias"][:, None, None]
        image = shown if side == 4 else upfirdn(image, 2, 1, (2, 1), gain=4.0) + shown
        side *= 2
    return image


def convolved(p: Tensors, name: str, x: Tensor) -> Tensor:
    weight = p[f"{name}.weight"]
    weight = weight / sqrt(weight[0].numel())
    return F.conv2d(x, weight, padding=weight.shape[2] // 2)


def discriminator(p: Tensors, image: Tensor, group: int, label: Tensor | None = None) -> Tensor:
    """Logits; a group is `group` images that follow each other."""
    side = image.shape[2]
    name = f"b{side}.fromrgb"
    x = lrelu(convolved(p, name, image) + p[f"{name}.bias"][:, None, None])
    for level in range(int(log2(side)), 2, -1):
        block = f"b{2**level}"
        weight = p[f"{block}.skip.weight"]
        skip = F.conv2d(upfirdn(x, 1, 2, (1, 1)), weight / sqrt(weight.shape[1]))
        y = lrelu(convolved(p, f"{block}.conv0", x) + p[f"{block}.conv0.bias"][:, None, None])
        weight = p[f"{block}.conv1.weight"]
        y = F.conv2d(upfirdn(y, 1, 1, (2, 2)), weight / sqrt(weight[0].numel()), stride=2)
        y = lrelu(y + p[f"{block}.conv1.bias"][:, None, None])
        x = (skip + y) / sqrt(2)
    spread = []
    for first in range(0, len(x), group):
        part = x[first : first + group]
        deviation = torch.sqrt(((part - part.mean(0)) ** 2).mean(0) + 1e-8).mean()
        spread += [deviation.expand(1, 4, 4)] * group
    x = torch.cat([x, torch.stack(spread)], 1)
    x = lrelu(convolved(p, "b4.conv", x) + p["b4.conv.bias"][:, None, None])
    x = dense(p, "b4.out", lrelu(dense(p, "b4.fc", x.flatten(1))))
    if label is None:
        return x[:, 0]
    return (x * mapping(p, None, label)).sum(1) / sqrt(x.shape[1])
