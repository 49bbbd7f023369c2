"""What a training has put on record so far, and what follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor


class Best(NamedTuple):
    """The averaged generator of the smallest Fréchet distance so far."""

    kimg: float
    distance: float
    weights: Mapping[str, Tensor]
    """On the CPU."""


@dataclass
class History:
    """The record. It is part of every checkpoint."""

    metrics: list[dict[str, float]] = field(default_factory=list)
    """One line a tick."""
    grids: dict[str, bytes] = field(default_factory=dict)
    """PNG files by their names in the output."""
    best: Best | None = None
    """None until a distance was measured."""

    def values(self, name: str) -> list[float]:
        """A measure's values, of the ticks that have it."""
        return [line[name] for line in self.metrics if name in line]


def frechet_name(space: str) -> str:
    """What the Fréchet distance in a feature space is called among the metrics."""
    return f"frechet-distance/{space}"


def misses(distances: list[float]) -> int:
    """How many of the last distances were measured since the smallest one."""
    return len(distances) - 1 - distances.index(min(distances)) if distances else 0
