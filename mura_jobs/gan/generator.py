"""The generator: mapping network z → w and synthesis network w → image (StyleGAN2, figures 2 and 7)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mura_jobs.gan.config import NetworkConfig
from mura_jobs.gan.layers import (
    Linear,
    SynthesisLayer,
    ToImage,
    is_reduced,
    normalise_second_moment,
    resolutions,
)
from mura_jobs.gan.resample import upsample

Z_DIM = 512
W_DIM = 512


class MappingNetwork(nn.Module):
    """z (and a label) to w. `w_avg` is the running mean of w, the centre of truncation."""

    w_avg: Tensor

    def __init__(self, layers: int, labels: int) -> None:
        super().__init__()
        self.embed = Linear(labels, W_DIM) if labels else None
        widths = [Z_DIM + (W_DIM if labels else 0)] + layers * [W_DIM]
        self.names = [f"fc{index}" for index in range(layers)]
        for name, (inputs, outputs) in zip(self.names, pairwise(widths), strict=True):
            self.add_module(name, Linear(inputs, outputs, activate=True, lr_multiplier=0.01))
        self.register_buffer("w_avg", torch.zeros(W_DIM))

    def forward(self, z_NF: Tensor, label_NL: Tensor | None = None) -> Tensor:
        """(N, 512), and one-hot labels (N, labels) for a conditional network, to w (N, 512)."""
        x = normalise_second_moment(z_NF)
        if self.embed is not None:
            assert label_NL is not None, "a conditional generator is called with labels"
            x = torch.cat([x, normalise_second_moment(self.embed(label_NL))], dim=1)
        for name in self.names:
            x = self.get_submodule(name)(x)
        return x

    def truncate(self, w: Tensor, psi: float) -> Tensor:
        """Move w towards its mean: w' = mean + psi (w - mean) (StyleGAN, appendix B)."""
        return self.w_avg.lerp(w, psi)


class SynthesisBlock(nn.Module):
    """One resolution: modulated convolutions, the first of which upsamples, and the step to the image."""

    const: Tensor

    def __init__(self, inputs: int, outputs: int, resolution: int, config: NetworkConfig) -> None:
        super().__init__()
        self.reduced = is_reduced(config, resolution)
        self.is_first = resolution == 4
        if self.is_first:
            self.const = nn.Parameter(torch.empty(outputs, 4, 4))
        else:
            self.conv0 = SynthesisLayer(inputs, outputs, W_DIM, resolution, up=True)
        self.conv1 = SynthesisLayer(outputs, outputs, W_DIM, resolution, up=False)
        self.torgb = ToImage(outputs, config.image_channels, W_DIM)

    @property
    def convolutions(self) -> list[SynthesisLayer]:
        """The modulated convolutions in order; the 4×4 block has one, all others two."""
        return [self.conv1] if self.is_first else [self.conv0, self.conv1]


class SynthesisNetwork(nn.Module):
    """w for each layer, and noise maps, to an image. The image is summed up over resolutions."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.names = [f"b{resolution}" for resolution in resolutions(config.resolution)]
        for name, resolution in zip(self.names, resolutions(config.resolution), strict=True):
            inputs, outputs = config.channels(resolution // 2), config.channels(resolution)
            self.add_module(name, SynthesisBlock(inputs, outputs, resolution, config))

    @property
    def blocks(self) -> list[SynthesisBlock]:
        """One block a resolution, from 4×4 up."""
        return [self.get_submodule(name) for name in self.names]  # type: ignore[misc]  # as added above

    @property
    def convolutions(self) -> list[SynthesisLayer]:
        """Every modulated convolution in order."""
        return [convolution for block in self.blocks for convolution in block.convolutions]

    @property
    def layers(self) -> int:
        """How many w an image takes: one a convolution, and one for the last step to the image."""
        return len(self.convolutions) + 1

    def forward(self, ws_NLF: Tensor, noise: Sequence[Tensor] | None) -> Tensor:
        """Synthesise images.

        Args:
            ws_NLF: w for each layer, (N, layers, 512).
            noise: a map of unit variance for each convolution, (N or 1, 1, H, W); None for no noise.

        Returns:
            (N, image channels, R, R), nominally in [-1, 1].
        """
        maps = iter(noise) if noise is not None else None
        ws = iter(ws_NLF.unbind(1))
        w = next(ws)
        x, image = torch.empty(0), torch.empty(0)
        for block in self.blocks:
            if block.is_first:
                x = block.const.expand(len(ws_NLF), -1, -1, -1)
            dtype = torch.bfloat16 if block.reduced else ws_NLF.dtype
            x = x.to(dtype, memory_format=torch.channels_last)
            for convolution in block.convolutions:
                x = convolution(x, w, None if maps is None else next(maps))
                w = next(ws)
            shown = block.torgb(x, w)
            image = shown if block.is_first else upsample(image) + shown
        return image


class Generator(nn.Module):
    """Mapping and synthesis network together."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config.mapping_layers, config.labels)
        self.synthesis = SynthesisNetwork(config)

    def forward(
        self,
        z_NF: Tensor,
        noise: Sequence[Tensor] | None,
        label_NL: Tensor | None = None,
        psi: float = 1.0,
    ) -> Tensor:
        """Images from z, with truncation.

        Args:
            z_NF: standard normal, (N, 512).
            noise: as `SynthesisNetwork.forward` takes it: from `random_noise`, `constant_noise`, or None.
            label_NL: one-hot labels of a conditional network.
            psi: 1 leaves w as it is, 0 gives the mean image.

        Returns:
            (N, image channels, R, R), nominally in [-1, 1].
        """
        w = self.mapping.truncate(self.mapping(z_NF, label_NL), psi)
        image: Tensor = self.synthesis(self.broadcast(w), noise)
        return image

    def broadcast(self, w_NF: Tensor) -> Tensor:
        """The same w for each layer: (N, layers, 512)."""
        return w_NF[:, None].expand(-1, self.synthesis.layers, -1)

    def random_noise(self, batch: int, stream: torch.Generator) -> list[Tensor]:
        """Fresh noise maps for each image, on the stream's device; image i depends on the draws before it."""
        sides = [convolution.resolution for convolution in self.synthesis.convolutions]
        areas = [side * side for side in sides]
        flat = torch.randn(batch, sum(areas), generator=stream, device=stream.device)
        return [
            part.reshape(batch, 1, side, side)
            for part, side in zip(torch.split(flat, areas, dim=1), sides, strict=True)
        ]

    def constant_noise(self) -> list[Tensor]:
        """The noise maps stored with the weights, the same for all images."""
        return [convolution.noise_const[None, None] for convolution in self.synthesis.convolutions]
