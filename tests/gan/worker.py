"""Some steps of a small training, in one of torchrun's processes; rank 0 saves the state it ends with."""

import os
from pathlib import Path
import sys

import numpy as np
import safetensors.torch
import torch

from mura_jobs.gan.data import RealImages
from mura_jobs.gan.state import TrainState
from mura_jobs.gan.step import Step
from mura_jobs.job.distributed import world_of
from tests.gan.small import recipe, settings

STEPS = 5


def main(path: Path) -> None:
    """Train and save."""
    torch.set_num_threads(1)
    with world_of(os.environ, "cpu") as world:
        chosen = settings(batch=8, augment="bgc")
        resolved = recipe(chosen, world.size)
        pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)
        data = RealImages.place(pixels, mirror=True, seed=chosen.seed, world=world)
        state = TrainState.fresh(resolved, chosen, torch.device(world.device))
        step = Step(resolved, chosen, world)
        for _ in range(STEPS):
            step(state, data.batch(state.images, world.rows(resolved.batch), resolved.batch))
        if world.is_main:
            safetensors.torch.save_file(
                {name: tensor.detach().contiguous() for name, tensor in state.tensors().items()}, path
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
