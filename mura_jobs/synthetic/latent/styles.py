"""The stages `style-mix`, `interpolate` and `truncation`: pictures of what w does."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from mura_jobs.errors import ConfigError
from mura_jobs.gan.generator import Generator
from mura_jobs.gan.load import load_generator
from mura_jobs.job.config import Label
from mura_jobs.job.job import Job
from mura_jobs.synthetic.latent.config import (
    InterpolateConfig,
    LatentConfig,
    StyleMixConfig,
    TruncationConfig,
)
from mura_jobs.synthetic.latent.pictures import SYNTHETIC, moving_picture, sheet_png
from mura_jobs.synthetic.sample import draw_z, stream_of, to_grey

Images = NDArray[np.uint8]

_AT_ONCE = 32


def style_mix(config: StyleMixConfig, job: Job) -> None:
    """Publish a grid: sources above and on the left, their mixtures where they cross (StyleGAN, figure 3).

    Raises:
        ConfigError: the generator has no such layer.
    """
    generator = open_generator(config, job)
    layers = generator.synthesis.layers
    chosen = sorted(set(config.layers)) if config.layers is not None else list(range(layers // 2, layers))
    if chosen[-1] >= layers:
        raise ConfigError(
            f"style-mix.layers: {chosen[-1]}, but the generator has the layers 0 to {layers - 1} at "
            f"{generator.config.resolution}² pixels"
        )
    row = styles(generator, config.seed, config.label, config.rows, config.psi)
    column = styles(generator, config.seed, config.label, config.columns, config.psi)
    mixed = mix(row, column, chosen)
    across, down = images_of(generator, column), images_of(generator, row)
    inside = images_of(generator, mixed.flatten(0, 1)).reshape(len(row), len(column), *across.shape[1:])
    rows = [[None, *across], *([left, *line] for left, line in zip(down, inside, strict=True))]
    job.output.put("mix.png", sheet_png(rows, config.tile, SYNTHETIC))
    job.output.publish({"layers": chosen, "of": layers, "rows": len(row), "columns": len(column)})


def interpolate(config: InterpolateConfig, job: Job) -> None:
    """Publish a strip with a row from each image to the next, and the walk as a moving picture."""
    generator = open_generator(config, job)
    ws = styles(generator, config.seed, config.label, config.numbers, config.psi)
    stops = torch.cat([ws, ws[:1]]) if config.loop else ws
    frames = images_of(generator, walk(stops, config.steps))
    strip = images_of(generator, walk(stops, config.strip_steps))
    rows = [
        list(strip[start : start + config.strip_steps + 1])
        for start in range(0, len(strip) - 1, config.strip_steps)
    ]
    job.output.put("strip.png", sheet_png(rows, config.tile, SYNTHETIC))
    moving = frames[:-1] if config.loop else frames
    job.output.put(
        f"walk.{config.form}", moving_picture(moving, config.form, config.frames_per_second, config.tile)
    )
    job.output.publish({"frames": len(moving), "seconds": len(moving) / config.frames_per_second})


def truncation(config: TruncationConfig, job: Job) -> None:
    """Publish a grid: a row an image, a column a psi."""
    generator = open_generator(config, job)
    columns = [
        images_of(generator, styles(generator, config.seed, config.label, config.numbers, psi))
        for psi in config.psis
    ]
    job.output.put("truncation.png", sheet_png(list(zip(*columns, strict=True)), config.tile, SYNTHETIC))
    job.output.publish({"rows": len(config.numbers), "columns": len(config.psis)})


def open_generator(config: LatentConfig, job: Job) -> Generator:
    """The label's generator on the job's device."""
    artifact = job.inputs[config.generator_place(config.label)]
    return load_generator(artifact, config.label).to(job.world.device)


@torch.inference_mode()
def styles(generator: Generator, seed: int, label: Label, numbers: Sequence[int], psi: float) -> Tensor:
    """W of the images that `synthesize` draws under these numbers, for each layer: (N, layers, 512)."""
    z = torch.stack([draw_z(stream_of(seed, label, number)) for number in numbers])
    w = generator.mapping(z.to(generator.mapping.w_avg.device))
    return generator.broadcast(generator.mapping.truncate(w, psi))


def mix(row_MLF: Tensor, column_NLF: Tensor, layers: Sequence[int]) -> Tensor:
    """Every row with every column's styles in the given layers: (M, N, layers, 512)."""
    mixed = row_MLF[:, None].repeat(1, len(column_NLF), 1, 1)
    mixed[:, :, list(layers)] = column_NLF[None, :, list(layers)].expand(len(row_MLF), -1, -1, -1)
    return mixed


def walk(stops_NLF: Tensor, steps: int) -> Tensor:
    """Straight from stop to stop, each way in `steps`: ((N - 1) × steps + 1, layers, 512)."""
    parts = [
        torch.stack([start.lerp(end, step / steps) for step in range(steps)])
        for start, end in pairwise(stops_NLF)
    ]
    return torch.cat([*parts, stops_NLF[-1:]])


@torch.inference_mode()
def images_of(generator: Generator, ws_NLF: Tensor) -> Images:
    """Images of some w with the stored noise, uint8 (N, R, R)."""
    noise = generator.constant_noise()
    parts = [to_grey(generator.synthesis(ws, noise)).cpu() for ws in torch.split(ws_NLF, _AT_ONCE)]
    return torch.cat(parts).numpy()
