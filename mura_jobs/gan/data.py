"""Real images for the discriminator: all of them in memory as uint8, in an order that the seed fixes."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from mura_jobs.job.randomness import numpy_stream
from mura_jobs.job.world import World

DEVICE_SHARE = 0.25
"""Share of a GPU's memory that the images may take; more of them stay in the host's."""


@dataclass(frozen=True)
class RealImages:
    """The training images, and which of them a batch has."""

    images: Tensor
    """uint8, (n, C, R, R), on the device or in pinned host memory."""
    mirror: bool
    """Whether there is also a flipped copy of each."""
    seed: int
    device: torch.device

    @classmethod
    def place(cls, images_NRR: NDArray[np.uint8], *, mirror: bool, seed: int, world: World) -> "RealImages":
        """Put grey images where the training reads them fastest: on the device if they fit there."""
        images, device = torch.from_numpy(images_NRR)[:, None], torch.device(world.device)
        if device.type == "cuda":
            memory = torch.cuda.get_device_properties(device).total_memory
            fits = images.nbytes <= DEVICE_SHARE * memory
            images = images.to(device) if fits else images.pin_memory()
        return cls(images, mirror, seed, device)

    def batch(self, first: int, rows: slice, batch: int) -> Tensor:
        """Images of the world batch that begins with the `first` image of training, in [-1, 1].

        Every pass goes through all images (and their mirror images) in an order of its own.

        Args:
            first: images seen before.
            rows: which of the batch this process takes.
            batch: images in the world batch.
        """
        count = len(self.images) * (2 if self.mirror else 1)
        positions = np.arange(first, first + batch)[rows]
        chosen = np.array([self._order(place // count, count)[place % count] for place in positions.tolist()])
        images = self.images[torch.from_numpy(chosen % len(self.images)).to(self.images.device)]
        images = images.to(self.device, non_blocking=True).float() / 127.5 - 1
        flipped = torch.from_numpy(chosen >= len(self.images)).to(self.device)
        return torch.where(flipped[:, None, None, None], images.flip(3), images) if self.mirror else images

    def _order(self, number: int, count: int) -> NDArray[np.int64]:
        return _pass_order(self.seed, number, count)


@lru_cache(maxsize=4)
def _pass_order(seed: int, number: int, count: int) -> NDArray[np.int64]:
    return numpy_stream(seed, "real images", number).permutation(count)
