"""The layers that both networks are made of.

Equalised learning rate (Progressive GAN, section 4.1): weights are stored with unit variance and scaled by
gain / sqrt(fan_in) whenever they are used. The gain sqrt(2) of the leaky ReLU is folded into the weights and
biases before it, which is the same because a leaky ReLU commutes with positive factors.

Parameters carry the shapes of the published networks: a convolution's weight is (out, in, k, k), a fully
connected one's (out, in), a noise strength is a scalar. Activations are in channels_last memory.
"""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mura_jobs.errors import ConfigError
from mura_jobs.gan.config import NetworkConfig
from mura_jobs.gan.resample import blur

SLOPE = 0.2
"""Negative slope of every leaky ReLU."""

DEMODULATION_EPSILON = 1e-8


def resolutions(resolution: int) -> list[int]:
    """The resolutions that the networks go through, from 4 to `resolution`.

    Raises:
        ConfigError: the resolution is not a power of two of at least 8.
    """
    if resolution < 8 or resolution & (resolution - 1):
        below = max(8, 1 << resolution.bit_length() - 1)
        raise ConfigError(
            f"{resolution}×{resolution} images: StyleGAN2 needs a power of two from 8 on; "
            f"set preprocess.resolution to {below} or {2 * below}"
        )
    return [1 << level for level in range(2, resolution.bit_length())]


def is_reduced(config: NetworkConfig, resolution: int) -> bool:
    """Whether the features at a resolution are bfloat16: at the four highest, if the precision says so."""
    return config.precision == "bfloat16" and resolution * 8 >= config.resolution


def normalise_second_moment(x_NF: Tensor) -> Tensor:
    """Scale each row so that its mean square is one (StyleGAN, section 2: z before the mapping)."""
    return x_NF * (x_NF.square().mean(1, keepdim=True) + 1e-8).rsqrt()


@torch.no_grad()
def initialise(network: nn.Module, stream: torch.Generator) -> None:
    """Draw a network's weights, learned constant and stored noise, all standard normal.

    The weights of a layer with a learning-rate multiplier are divided by it. Biases are constants already.
    """
    for module in network.modules():
        std = getattr(module, "initial_std", 1.0)
        tensors = {
            **dict(module.named_parameters(recurse=False)),
            **dict(module.named_buffers(recurse=False)),
        }
        for name in ("weight", "const", "noise_const"):
            if name in tensors:
                tensors[name].normal_(0, std, generator=stream)


def leaky_relu_(x: Tensor) -> Tensor:
    """Leaky ReLU without gain, in place."""
    return F.leaky_relu_(x, SLOPE)


class Linear(nn.Module):
    """Fully connected layer, with a leaky ReLU (gain sqrt(2)) if `activate`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        activate: bool = False,
        bias_init: float = 0.0,
        lr_multiplier: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.full((outputs,), bias_init / lr_multiplier))
        self.initial_std = 1 / lr_multiplier
        self.activate = activate
        gain = sqrt(2) if activate else 1.0
        self.weight_scale = gain * lr_multiplier / sqrt(inputs)
        self.bias_scale = gain * lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        weight = (self.weight * self.weight_scale).to(x.dtype)
        bias = (self.bias * self.bias_scale).to(x.dtype)
        y = F.linear(x, weight, bias)
        return leaky_relu_(y) if self.activate else y


class Conv(nn.Module):
    """The discriminator's convolution, with a leaky ReLU (gain sqrt(2)) if it has a bias.

    With `down` the image is blurred and then convolved with stride 2. `gain` scales the output.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        bias: bool = True,
        down: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.down = down
        self.padding = size // 2
        self.bias_scale = gain * sqrt(2) if bias else gain
        self.weight_scale = self.bias_scale / sqrt(inputs * size * size)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W), or half of H and W with `down`."""
        weight = (self.weight * self.weight_scale).to(x_NCHW.dtype)
        bias = None if self.bias is None else (self.bias * self.bias_scale).to(x_NCHW.dtype)
        if self.down:
            y = F.conv2d(blur(x_NCHW, padding=self.padding + 1), weight, bias, stride=2)
        else:
            y = F.conv2d(x_NCHW, weight, bias, padding=self.padding)
        return y if bias is None else leaky_relu_(y)


class FromImage(nn.Module):
    """The discriminator's first layer: a 1×1 convolution from image channels, with a leaky ReLU.

    A fully connected layer over the last axis of the channels_last image, which fast convolution kernels for
    one input channel are not.
    """

    def __init__(self, image_channels: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, image_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.weight_scale = sqrt(2) / sqrt(image_channels)

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """(N, image channels, H, W) to (N, outputs, H, W)."""
        weight = (self.weight[:, :, 0, 0] * self.weight_scale).to(image_NCHW.dtype)
        bias = (self.bias * sqrt(2)).to(image_NCHW.dtype)
        batch, channels, height, width = image_NCHW.shape
        pixels = image_NCHW.permute(0, 2, 3, 1).reshape(-1, channels)
        y = leaky_relu_(F.linear(pixels, weight, bias))
        return y.reshape(batch, height, width, -1).permute(0, 3, 1, 2)


class SynthesisLayer(nn.Module):
    """Modulated 3×3 convolution, noise, bias, leaky ReLU (StyleGAN2, section 2.2 and figure 2).

    Modulation and demodulation scale weights: w'_oi = s_i w_oi d_o with d_o = 1 / sqrt(sum_ik (s_i w_oik)²).
    Scaling input channels by s and output channels by d is the same, and needs no weights per image.
    """

    noise_const: Tensor

    def __init__(self, inputs: int, outputs: int, w_dim: int, resolution: int, *, up: bool) -> None:
        super().__init__()
        self.affine = Linear(w_dim, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise_const", torch.empty(resolution, resolution))
        self.up = up
        self.resolution = resolution

    def forward(self, x_NCHW: Tensor, w_NF: Tensor, noise_N1HW: Tensor | None) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W), or twice H and W with `up`; no noise for None."""
        style_NI = self.affine(w_NF)
        demodulation_NO = (
            style_NI.square() @ self.weight.square().sum((2, 3)).T + DEMODULATION_EPSILON
        ).rsqrt()
        dtype = x_NCHW.dtype
        y = x_NCHW * style_NI.to(dtype)[:, :, None, None]
        weight = self.weight.to(dtype)
        if self.up:
            y = blur(F.conv_transpose2d(y, weight.transpose(0, 1), stride=2), padding=1, gain=4.0)
        else:
            y = F.conv2d(y, weight, padding=1)
        bias = (self.bias * sqrt(2)).to(dtype)[:, None, None]
        y = torch.addcmul(bias, y, (demodulation_NO * sqrt(2)).to(dtype)[:, :, None, None])
        if noise_N1HW is not None:
            y = y.add_((noise_N1HW * (self.noise_strength * sqrt(2))).to(dtype))
        return leaky_relu_(y)


class ToImage(nn.Module):
    """Modulated 1×1 convolution to image channels without demodulation (StyleGAN2, figure 7: tRGB)."""

    def __init__(self, inputs: int, image_channels: int, w_dim: int) -> None:
        super().__init__()
        self.affine = Linear(w_dim, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.empty(image_channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(image_channels))
        self.weight_scale = 1 / sqrt(inputs)

    def forward(self, x_NCHW: Tensor, w_NF: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, image channels, H, W), float32 or wider."""
        batch, inputs, height, width = x_NCHW.shape
        style_NI = self.affine(w_NF) * self.weight_scale
        weight_NIC = style_NI[:, :, None] * self.weight[:, :, 0, 0].T
        x_NPI = x_NCHW.permute(0, 2, 3, 1).reshape(batch, height * width, inputs)
        y_NPC = torch.bmm(x_NPI, weight_NIC.to(x_NPI.dtype)).to(weight_NIC.dtype) + self.bias
        return y_NPC.reshape(batch, height, width, -1).permute(0, 3, 1, 2)
