"""Resampling with the binomial filter [1, 3, 3, 1], as StyleGAN2 (appendix B) does it.

The two-dimensional filter is the normalised outer product of the one-dimensional one. Pixels outside the
image count as zero. Each function is one depthwise convolution, which in channels_last memory costs a small
part of the neighbouring 3×3 convolution.

They are linear, and the filter is symmetric, so that each one's gradient is one of them again. Saying so
spares autograd's own second derivative of a depthwise convolution, which goes through channels one by one.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

TAPS = (1.0, 3.0, 3.0, 1.0)


def blur(x_NCHW: Tensor, padding: int, gain: float = 1.0) -> Tensor:
    """Filter at the same sampling rate: (N, C, H, W) to (N, C, H + 2 padding - 3, W + 2 padding - 3)."""
    y: Tensor = _Blur.apply(x_NCHW, padding, gain)
    return y


def downsample(x_NCHW: Tensor) -> Tensor:
    """Halve the resolution: (N, C, H, W) to (N, C, H/2, W/2); a constant stays the same inside the image."""
    y: Tensor = _Downsample.apply(x_NCHW, 1.0)
    return y


def upsample(x_NCHW: Tensor) -> Tensor:
    """Double the resolution: (N, C, H, W) to (N, C, 2H, 2W). Four times the adjoint of `downsample`."""
    y: Tensor = _Upsample.apply(x_NCHW, 4.0)
    return y


def _filter(channels: int, gain: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The filter with the sum `gain`, once per channel: shape (channels, 1, 4, 4)."""
    # a compiled network holds it as a constant
    make = _make_filter if torch.compiler.is_compiling() else _kept_filter
    return make(channels, gain, dtype, device)


def _make_filter(channels: int, gain: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    taps = torch.tensor(TAPS, dtype=torch.float64)
    kernel = gain * torch.outer(taps, taps) / taps.sum() ** 2
    return kernel.to(device, dtype).expand(channels, 1, 4, 4).contiguous()


_kept_filter = lru_cache(maxsize=64)(_make_filter)


class _Blur(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: int, gain: float) -> Tensor:  # noqa: ANN401 - torch's context
        ctx.arguments = len(TAPS) - 1 - padding, gain
        kernel = _filter(x.shape[1], gain, x.dtype, x.device)
        return F.conv2d(x, kernel, padding=padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return _Blur.apply(gradient, *ctx.arguments), None, None


class _Downsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: float) -> Tensor:  # noqa: ANN401
        ctx.gain = gain
        kernel = _filter(x.shape[1], gain, x.dtype, x.device)
        return F.conv2d(x, kernel, padding=1, stride=2, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return _Upsample.apply(gradient, ctx.gain), None


class _Upsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: float) -> Tensor:  # noqa: ANN401
        ctx.gain = gain
        # In bfloat16, CPUs take forty times as long for a transposed depthwise convolution.
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        kernel = _filter(x.shape[1], gain, wide.dtype, x.device)
        return F.conv_transpose2d(wide, kernel, padding=1, stride=2, groups=x.shape[1]).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return _Downsample.apply(gradient, ctx.gain), None
