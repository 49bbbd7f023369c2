"""Moving the weights: the optimiser, its learning rate over time, and the moving average."""

from collections.abc import Mapping, Sequence
import math
from typing import Literal

import torch
from torch import Tensor, nn

from mura_jobs.classifier.config import OptimiserConfig


def make_optimiser(config: OptimiserConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser over all weights that are trained; only matrices and kernels decay."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in trained if weight.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [weight for weight in trained if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    match config.name:
        case "adamw":
            return torch.optim.AdamW(groups, lr=config.lr, fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr=config.lr, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=config.lr, momentum=0.9, nesterov=True, fused=True)


def learning_rate(config: OptimiserConfig, step: int, steps: int, epoch_steps: int, reductions: int) -> float:
    """The learning rate of a step.

    Args:
        config: its highest value and its schedule.
        step: 0 … steps - 1.
        steps: length of the training.
        epoch_steps: length of an epoch in steps.
        reductions: how often `plateau` has lowered it so far.
    """
    warmup = config.warmup_epochs * epoch_steps
    rate = config.lr * min(1.0, (step + 1) / warmup) if warmup else config.lr
    match config.schedule:
        case "cosine":
            return rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        case "plateau":
            return rate * 0.1**reductions
        case "constant":
            return rate


def improvements(
    history: Sequence[Mapping[str, float]], criterion: Literal["auroc", "loss", "last"]
) -> list[bool]:
    """Of each epoch, whether it was better on `select` than all before it; for `last`, every one is."""
    match criterion:
        case "auroc":
            values = [row["select_auroc"] for row in history]
        case "loss":
            values = [-row["select_loss"] for row in history]
        case "last":
            return [True] * len(history)
    return [value > max(values[:epoch], default=-math.inf) for epoch, value in enumerate(values)]


def plateaus(improved: Sequence[bool], epochs: int) -> int:
    """How often `epochs` epochs in a row brought no improvement; the count starts anew each time."""
    found = waiting = 0
    for better in improved:
        waiting = 0 if better else waiting + 1
        if waiting == epochs:
            found, waiting = found + 1, 0
    return found


class Average:
    """Exponential moving average of a network's weights and statistics, with a time constant in steps.

    It starts with a short memory, which grows with the steps taken, so that it forgets the initial weights.
    """

    def __init__(self, network: nn.Module, time_constant: float) -> None:
        self._source = _moving(network)
        self.tensors = {name: tensor.clone() for name, tensor in self._source.items()}
        self._decay = math.exp(-1 / time_constant)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step `step` (0 …)."""
        decay = min(self._decay, (step + 1) / (step + 10))
        torch._foreach_lerp_(list(self.tensors.values()), list(self._source.values()), 1 - decay)


def _moving(network: nn.Module) -> dict[str, Tensor]:
    """Weights and statistics that training changes: all but counts."""
    return {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
