"""Some steps of a small training, in one of torchrun's processes; rank 0 saves the state it ends with."""

import os
from pathlib import Path
import signal
import sys

import numpy as np
import safetensors.torch
import torch

from mura_jobs.features.space import FeatureSpace
from mura_jobs.gan.data import RealImages
from mura_jobs.gan.metrics.meter import Meter
from mura_jobs.gan.pictures import generated
from mura_jobs.gan.state import TrainState
from mura_jobs.gan.step import Step
from mura_jobs.job.config import LABELS
from mura_jobs.job.distributed import world_of
from tests.gan.small import packed, recipe, settings

STEPS = 5

PIXELS = FeatureSpace("pixels", lambda grey_N1RR: grey_N1RR.flatten(1)[:, ::32], torch.device("cpu"))
"""A feature space of a few pixels."""


def main(path: Path) -> None:
    """Train, look, and save.

    With the variable CONDITIONAL the networks are told labels. The process of the rank in the variable DIE
    kills itself after two steps.
    """
    classes = LABELS if os.environ.get("CONDITIONAL") else ()
    torch.set_num_threads(1)
    with world_of(os.environ, "cpu") as world:
        chosen = settings(batch=8, augment="bgc")
        resolved = recipe(chosen, world.size, classes)
        pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)
        images = packed(pixels, LABELS)
        data = RealImages.place(images, mirror=True, seed=chosen.seed, world=world)
        state = TrainState.fresh(resolved, chosen, torch.device(world.device))
        step = Step(resolved, chosen, world)
        for number in range(STEPS):
            if number == 2 and os.environ.get("DIE") == str(world.rank):
                os.kill(os.getpid(), signal.SIGKILL)
            which = state.images, world.rows(resolved.batch), resolved.batch
            step(state, data.batch(*which), data.labels(*which) if classes else None)
        tensors = {name: tensor.detach().contiguous() for name, tensor in state.tensors().items()}
        tensors["seen.grid"] = generated(state.G_ema, 5, chosen.seed, world)
        meter = Meter(PIXELS, images, 7, chosen.seed, world)
        tensors |= {f"seen.{name}": torch.tensor(value) for name, value in meter.measure(state.G_ema).items()}
        if world.is_main:
            safetensors.torch.save_file(tensors, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
