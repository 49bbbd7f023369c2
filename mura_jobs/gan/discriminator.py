"""The discriminator: a residual network with minibatch standard deviation (StyleGAN2, figure 7)."""

from math import sqrt

import torch
from torch import Tensor, nn

from mura_jobs.gan.config import NetworkConfig
from mura_jobs.gan.layers import (
    Conv,
    FromImage,
    Linear,
    is_reduced,
    normalise_second_moment,
    resolutions,
)
from mura_jobs.gan.resample import downsample

LABEL_LAYERS = 8
"""Depth of a conditional discriminator's label mapping."""


class Block(nn.Module):
    """Two convolutions, the second of which halves the resolution, beside a skip (1/sqrt(2) merge)."""

    def __init__(self, inputs: int, outputs: int, *, reduced: bool) -> None:
        super().__init__()
        self.reduced = reduced
        self.conv0 = Conv(inputs, inputs, 3)
        self.conv1 = Conv(inputs, outputs, 3, down=True, gain=sqrt(0.5))
        self.skip = Conv(inputs, outputs, 1, bias=False, gain=sqrt(0.5))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/2, W/2)."""
        skipped: Tensor = self.skip(downsample(x_NCHW))
        return skipped.add_(self.conv1(self.conv0(x_NCHW)))


def minibatch_std(x_NCHW: Tensor, group: int) -> Tensor:
    """Append a channel: the standard deviation within each group, averaged over features and pixels.

    A group is `group` consecutive images, so that it lies within one process however many share the batch
    (Progressive GAN, section 3, with groups as in StyleGAN2).
    """
    batch, _, height, width = x_NCHW.shape
    assert batch % group == 0, f"{batch} images in groups of {group}"
    grouped = x_NCHW.reshape(batch // group, group, -1)
    deviation_M = (grouped.var(1, correction=0) + 1e-8).sqrt().mean(1)
    channel = deviation_M.repeat_interleave(group)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat([x_NCHW, channel], dim=1)


class Head(nn.Module):
    """From 4×4 features to a logit, or to features that are projected on a label's."""

    def __init__(self, channels: int, outputs: int, group: int) -> None:
        super().__init__()
        self.group = group
        self.conv = Conv(channels + 1, channels, 3)
        self.fc = Linear(channels * 16, channels, activate=True)
        self.out = Linear(channels, outputs)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, channels, 4, 4) to (N, outputs)."""
        x = self.conv(minibatch_std(x_NCHW, self.group))
        y: Tensor = self.out(self.fc(x.flatten(1)))
        return y


class LabelMapping(nn.Module):
    """A label to the direction that features of its images should have (projection discriminator)."""

    def __init__(self, labels: int, dim: int) -> None:
        super().__init__()
        self.embed = Linear(labels, dim)
        self.names = [f"fc{index}" for index in range(LABEL_LAYERS)]
        for name in self.names:
            self.add_module(name, Linear(dim, dim, activate=True, lr_multiplier=0.01))

    def forward(self, label_NL: Tensor) -> Tensor:
        """(N, labels) to (N, dim)."""
        x = normalise_second_moment(self.embed(label_NL))
        for name in self.names:
            x = self.get_submodule(name)(x)
        return x


class Discriminator(nn.Module):
    """An image (and its label) to a logit: above 0 for real."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        sides = resolutions(config.resolution)[::-1]
        self.fromrgb = FromImage(config.image_channels, config.channels(config.resolution))
        self.names = [f"b{side}" for side in sides[:-1]]
        for name, side in zip(self.names, sides[:-1], strict=True):
            widths = config.channels(side), config.channels(side // 2)
            self.add_module(name, Block(*widths, reduced=is_reduced(config, side)))
        features = config.channels(4)
        self.b4 = Head(features, features if config.labels else 1, config.minibatch_std_group)
        self.mapping = LabelMapping(config.labels, features) if config.labels else None

    @property
    def blocks(self) -> list[Block]:
        """The residual blocks, from the highest resolution down to 8×8."""
        return [self.get_submodule(name) for name in self.names]  # type: ignore[misc]  # as added above

    def forward(self, image_NCHW: Tensor, label_NL: Tensor | None = None) -> Tensor:
        """Logits, (N,), float32 or wider.

        The batch is a whole number of minibatch-std groups.
        """
        full, blocks = image_NCHW.dtype, self.blocks
        x = self.fromrgb(image_NCHW.to(torch.bfloat16 if blocks[0].reduced else full))
        for block in blocks:
            x = block(x.to(torch.bfloat16 if block.reduced else full))
        y: Tensor = self.b4(x.to(full))
        if self.mapping is None:
            return y[:, 0]
        assert label_NL is not None, "a conditional discriminator is called with labels"
        direction: Tensor = self.mapping(label_NL)
        return (y * direction).sum(1) / sqrt(y.shape[1])
