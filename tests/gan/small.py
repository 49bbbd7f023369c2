"""Networks and trainings small enough for tests."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
import pandas as pd
import torch
from torch import nn

from mura_jobs.gan.config import NetworkConfig, Recipe, TrainGanSettings, resolve
from mura_jobs.gan.layers import initialise
from mura_jobs.job.config import Label
from mura_jobs.job.randomness import torch_stream
from mura_jobs.radiographs.packed import Packed

Network = TypeVar("Network", bound=nn.Module)


def network_config(**changes: Any) -> NetworkConfig:  # noqa: ANN401 - fields of several types
    """One-channel 16×16 networks of four channels."""
    values: dict[str, Any] = {
        "resolution": 16,
        "image_channels": 1,
        "labels": 0,
        "channel_base": 64,
        "channel_max": 4,
        "mapping_layers": 2,
        "minibatch_std_group": 2,
        "precision": "float32",
    }
    return NetworkConfig.parse(values | changes)


def drawn(network: Network, purpose: str = "test") -> Network:
    """The network with its weights drawn, and noise strengths and biases away from their zeros."""
    stream = torch_stream(0, purpose)
    initialise(network, stream)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("bias", "noise_strength")):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=stream))
    return network


def settings(**changes: Any) -> TrainGanSettings:  # noqa: ANN401 - fields of several types
    """A training of small networks with batches of four."""
    values: dict[str, Any] = {
        "kimg": 0.048,
        "batch": 4,
        "minibatch_std_group": 2,
        "channel_base": 64,
        "channel_max": 4,
        "tick_kimg": 0.016,
        "snapshot_ticks": 2,
        "checkpoint_ticks": 1,
        "grid_images": 4,
        "augment_initial": 0.5,
        "metrics": {"space": "none"},
    }
    return TrainGanSettings.parse(values | changes)


def recipe(chosen: TrainGanSettings, world_size: int = 1, classes: tuple[Label, ...] = ()) -> Recipe:
    """What the settings mean for one-channel 16×16 images."""
    return resolve(chosen, 16, 1, world_size, classes)


def packed(pixels_NRR: NDArray[np.uint8], labels: tuple[Label, ...] = ("positive",)) -> Packed:
    """Images as one shard of a packed data set, whose labels take turns."""
    rows = np.arange(len(pixels_NRR))
    index = pd.DataFrame({"label": np.resize(labels, len(rows)), "shard": 0, "row": rows})
    return Packed(index, pixels_NRR.shape[1], (pixels_NRR,))
