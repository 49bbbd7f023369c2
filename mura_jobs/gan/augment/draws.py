"""The random numbers of one augmentation, the same for a world batch however many processes share it."""

import torch
from torch import Tensor

from mura_jobs.job.randomness import torch_stream


class Draws:
    """Deals out random numbers for the rows of a world batch that this process owns.

    Every call draws for the whole world batch, whatever the probabilities are, so that the numbers behind an
    image depend on the stream and its place in the batch alone.
    """

    def __init__(self, batch: int, rows: slice, stream: torch.Generator, device: torch.device) -> None:
        """Begin the numbers of one augmentation.

        Args:
            batch: images in the world batch.
            rows: which of them are this process's.
            stream: where numbers come from, on the CPU, so that every kind of device gets the same.
            device: where they go.
        """
        self._batch = batch
        self._rows = rows
        self._stream = stream
        self._device = device

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """One number an image in [low, high): shape (N,)."""
        drawn = torch.rand(self._batch, generator=self._stream)
        return low + (high - low) * self._own(drawn)

    def normal(self) -> Tensor:
        """One standard normal number an image: shape (N,)."""
        return self._own(torch.randn(self._batch, generator=self._stream))

    def chance(self, probability: Tensor) -> Tensor:
        """Whether an operation hits each image: shape (N,), boolean."""
        return self.uniform() < probability

    def stream(self, row: int) -> torch.Generator:
        """A stream of one image of this process's own, for numbers that few images take."""
        number = range(self._batch)[self._rows][row]
        return torch_stream(self._stream.initial_seed(), "image", number)

    def _own(self, drawn: Tensor) -> Tensor:
        return drawn[self._rows].to(self._device, non_blocking=True)
