"""The random numbers of one augmentation, the same for a world batch however many processes share it."""

import torch
from torch import Tensor


class Draws:
    """Deals out random numbers for the rows of a world batch that this process owns.

    Every call draws for the whole world batch, whatever the probabilities are, so that the numbers behind an
    image depend on the stream and its place in the batch alone.
    """

    def __init__(self, batch: int, rows: slice, stream: torch.Generator) -> None:
        self._batch = batch
        self._rows = rows
        self._stream = stream

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """One number an image in [low, high): shape (N,)."""
        drawn = torch.rand(self._batch, generator=self._stream, device=self._stream.device)
        return low + (high - low) * drawn[self._rows]

    def normal(self) -> Tensor:
        """One standard normal number an image: shape (N,)."""
        return torch.randn(self._batch, generator=self._stream, device=self._stream.device)[self._rows]

    def chance(self, probability: Tensor) -> Tensor:
        """Whether an operation hits each image: shape (N,), boolean."""
        return self.uniform() < probability
