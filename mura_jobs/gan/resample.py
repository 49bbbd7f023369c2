"""Resampling with the binomial filter [1, 3, 3, 1], as StyleGAN2 (appendix B) does it.

The two-dimensional filter is the normalised outer product of the one-dimensional one. Pixels outside the image
count as zero. Each function is one depthwise convolution, which is linear and twice differentiable; in
channels_last memory it costs a small part of the neighbouring 3×3 convolution.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

TAPS = (1.0, 3.0, 3.0, 1.0)


@lru_cache(maxsize=64)
def _filter(channels: int, gain: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The filter with the sum `gain`, once per channel: shape (channels, 1, 4, 4)."""
    taps = torch.tensor(TAPS, dtype=torch.float64)
    kernel = gain * torch.outer(taps, taps) / taps.sum() ** 2
    return kernel.to(device, dtype).expand(channels, 1, 4, 4).contiguous()


def blur(x_NCHW: Tensor, padding: int, gain: float = 1.0) -> Tensor:
    """Filter at the same sampling rate: (N, C, H, W) to (N, C, H + 2 padding - 3, W + 2 padding - 3)."""
    channels = x_NCHW.shape[1]
    kernel = _filter(channels, gain, x_NCHW.dtype, x_NCHW.device)
    return F.conv2d(x_NCHW, kernel, padding=padding, groups=channels)


def downsample(x_NCHW: Tensor) -> Tensor:
    """Halve the resolution: (N, C, H, W) to (N, C, H/2, W/2); a constant stays the same inside the image.

    Computed in float32 whatever the input: on CPUs the gradient of a strided depthwise convolution is forty
    times slower in bfloat16.
    """
    channels = x_NCHW.shape[1]
    kernel = _filter(channels, 1.0, torch.promote_types(x_NCHW.dtype, torch.float32), x_NCHW.device)
    return F.conv2d(x_NCHW.to(kernel.dtype), kernel, padding=1, stride=2, groups=channels).to(x_NCHW.dtype)


def upsample(x_NCHW: Tensor) -> Tensor:
    """Double the resolution: (N, C, H, W) to (N, C, 2H, 2W). Four times the adjoint of `downsample`."""
    channels = x_NCHW.shape[1]
    kernel = _filter(channels, 4.0, x_NCHW.dtype, x_NCHW.device)
    return F.conv_transpose2d(x_NCHW, kernel, padding=1, stride=2, groups=channels)
