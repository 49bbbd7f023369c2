"""Real images for the discriminator, in an order that the seed fixes."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
import os

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor
from torch.nn import functional as F

from mura_jobs.gan.labels import numbered
from mura_jobs.job.config import LABELS
from mura_jobs.job.randomness import numpy_stream
from mura_jobs.job.world import World
from mura_jobs.radiographs.packed import Packed

MEMORY_SHARE = 0.25
"""Share of the device's memory that the images may take. More of them stay memory-mapped on the disk."""

Rows = NDArray[np.int64]


class Mapped:
    """Images that stay on the disk: while a batch is trained on, a thread reads the next one."""

    def __init__(self, packed: Packed, device: torch.device) -> None:
        self._packed = packed
        self._device = device
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="real-images")
        self._ahead: tuple[Rows, Future[Tensor]] | None = None

    def take(self, rows: Rows, following: Callable[[], Rows]) -> Tensor:
        """Images of some rows, uint8 (n, 1, R, R), on the device; `following` says which come next."""
        if self._ahead is not None and np.array_equal(self._ahead[0], rows):
            images = self._ahead[1].result()
        else:
            images = self._read(rows)
        expected = following()
        self._ahead = expected, self._thread.submit(self._read, expected)
        return images.to(self._device, non_blocking=True)

    def _read(self, rows: Rows) -> Tensor:
        images = torch.from_numpy(self._packed.images(rows))[:, None]
        return images.pin_memory() if self._device.type == "cuda" else images


@dataclass(frozen=True)
class RealImages:
    """The training images, and which of them a batch has."""

    packed: Packed
    store: Tensor | Mapped
    """All of them, uint8 (n, 1, R, R), on the device if they fit there."""
    mirror: bool
    """Whether there is also a flipped copy of each."""
    seed: int
    device: torch.device

    @classmethod
    def place(
        cls, packed: Packed, *, mirror: bool, seed: int, world: World, memory: int | None = None
    ) -> "RealImages":
        """Put images where the training reads them fastest: on the device, if a quarter of it is enough.

        Args:
            packed: the images.
            mirror: whether to show a flipped copy of each, too.
            seed: of the order.
            world: the process that trains, and its device.
            memory: bytes that the device has, for tests; by default it is asked.
        """
        device = torch.device(world.device)
        fits = len(packed) * packed.resolution**2 <= MEMORY_SHARE * (memory or _memory(device))
        store = torch.from_numpy(packed.images())[:, None].to(device) if fits else Mapped(packed, device)
        return cls(packed, store, mirror, seed, device)

    def __len__(self) -> int:
        """How many there are, without flipped copies."""
        return len(self.packed)

    def batch(self, first: int, rows: slice, batch: int) -> Tensor:
        """Images of the world batch that begins with the `first` image of training, in [-1, 1].

        Every pass goes through all images (and their mirror images) in an order of its own.

        Args:
            first: images seen before.
            rows: which of the batch this process takes.
            batch: images in the world batch.
        """
        chosen = self._chosen(first, rows, batch)
        if isinstance(self.store, Mapped):
            following = self._chosen
            images = self.store.take(
                chosen % len(self), lambda: following(first + batch, rows, batch) % len(self)
            )
        else:
            images = self.store[torch.from_numpy(chosen % len(self)).to(self.device)]
        images = images.float() / 127.5 - 1
        if not self.mirror:
            return images
        flipped = torch.from_numpy(chosen >= len(self)).to(self.device)
        return torch.where(flipped[:, None, None, None], images.flip(3), images)

    def labels(self, first: int, rows: slice, batch: int) -> Tensor:
        """The labels of the images that `batch` gives for the same arguments, one-hot, (N, classes)."""
        names = self.packed.index["label"].to_numpy()[self._chosen(first, rows, batch) % len(self)]
        return F.one_hot(numbered(names), len(LABELS)).float().to(self.device, non_blocking=True)

    def _chosen(self, first: int, rows: slice, batch: int) -> Rows:
        """The images' numbers; those from n on are flipped ones."""
        count = len(self) * (2 if self.mirror else 1)
        places = np.arange(first, first + batch)[rows]
        return np.array(
            [_pass_order(self.seed, place // count, count)[place % count] for place in places.tolist()]
        )


@lru_cache(maxsize=4)
def _pass_order(seed: int, number: int, count: int) -> Rows:
    return numpy_stream(seed, "real images", number).permutation(count)


def _memory(device: torch.device) -> int:
    """Bytes of memory that a device has."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
