"""Drawing images from a generator: each from a stream of its own, in company that is always the same."""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from mura_jobs.gan.generator import Z_DIM, Generator
from mura_jobs.gan.pictures import to_pixels
from mura_jobs.job.config import Label
from mura_jobs.job.randomness import torch_stream

Noise = Literal["random", "const", "none"]


def batches(images: int, batch: int, index: int, count: int) -> list[range]:
    """This share's batches: batch b of all images belongs to share b mod `count`.

    Every batch is whole, so that an image is always generated beside the same others: the last one goes
    beyond `images`, and what is beyond is thrown away.
    """
    return [range(start, start + batch) for start in range(0, images, batch)][index::count]


def stream_of(seed: int, label: Label, number: int) -> torch.Generator:
    """The stream that image `number` of a label is drawn from: first its z, then its noise."""
    return torch_stream(seed, "synthesize", label, number)


def draw_z(stream: torch.Generator) -> Tensor:
    """A z, (512,), on the CPU."""
    return torch.randn(Z_DIM, generator=stream)


@torch.inference_mode()
def sample(
    generator: Generator, numbers: range, *, seed: int, label: Label, psi: float, noise: Noise, device: str
) -> NDArray[np.uint8]:
    """The images of some numbers, uint8 (N, R, R).

    z and, where it is random, the noise of image i come from its `stream_of`.
    """
    z, maps = [], []
    for number in numbers:
        stream = stream_of(seed, label, number)
        z.append(draw_z(stream))
        if noise == "random":
            maps.append(generator.random_noise(1, stream))
    shown = [torch.cat(layer).to(device) for layer in zip(*maps, strict=True)] if maps else None
    if noise == "const":
        shown = generator.constant_noise()
    images_NCRR = generator(torch.stack(z).to(device), shown, psi=psi)
    return to_grey(images_NCRR).cpu().numpy()


def to_grey(images_NCRR: Tensor) -> Tensor:
    """A generator's images to uint8 (N, R, R): -1 is 0, 1 is 255, the nearest whole grey value in between.

    What a generator draws beyond black and white is black and white. Colours are averaged.
    """
    return to_pixels(images_NCRR.float().mean(dim=1))


def wanted_numbers(images: int, rejected_share: float) -> int:
    """How many candidates to draw so that `images` are left where that share is rejected."""
    return math.ceil(round(images / (1 - rejected_share), 6))
