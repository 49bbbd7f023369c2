"""Labels of a conditional network: class numbers, and the one-hot rows that networks take."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from mura_jobs.job.config import LABELS


def numbered(labels: Iterable[str]) -> Tensor:
    """The class numbers (N,) of labels."""
    return torch.tensor([LABELS.index(label) for label in labels])


def one_hot(classes_N: Tensor, labels: int) -> Tensor | None:
    """Rows (N, labels) that are 1 at their class and else 0; None where there are no labels."""
    return F.one_hot(classes_N, labels).float() if labels else None


def side_by_side(count: int, columns: int, labels: int) -> Tensor:
    """Class numbers (N,) of a grid's images, row by row: each class has an equal share of each row."""
    return torch.arange(count) % columns * max(labels, 1) // columns
