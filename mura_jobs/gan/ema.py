"""The moving average of the generator's weights (Progressive GAN, section 5)."""

import torch
from torch import nn


def ema_decay(batch: int, images_seen: int, ema_kimg: float, rampup: float) -> float:
    """How much of the average stays at a step: its half-life is ema_kimg, or less early in training.

    Args:
        batch: images a step.
        images_seen: before this step.
        ema_kimg: half-life in thousands of images.
        rampup: limits the half-life to this share of the images seen; 0 for no limit.
    """
    half_life = ema_kimg * 1000
    if rampup > 0:
        half_life = min(half_life, images_seen * rampup)
    return float(0.5 ** (batch / half_life)) if half_life > 0 else 0.0


@torch.no_grad()
def update_ema(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Move the average's parameters towards the current ones, and copy its buffers."""
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1 - decay)
    for target, source in zip(average.buffers(), current.buffers(), strict=True):
        target.copy_(source)
