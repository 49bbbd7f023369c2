"""Checkpoints of a GAN's training: its state, and its history with the pictures made so far."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from mura_jobs.errors import ConfigError, InputError
from mura_jobs.gan.config import Recipe
from mura_jobs.gan.history import Best, History
from mura_jobs.gan.state import TrainState
from mura_jobs.job.checkpoint import Checkpoints
from mura_jobs.job.config import differences
from mura_jobs.job.job import Job

BEST = "best."
"""What the names of the best generator's tensors begin with."""


class GanCheckpoints:
    """The checkpoints of a job's output, and beside them, each stored once, the grids that they name."""

    def __init__(self, job: Job, recipe: Recipe) -> None:
        self._recipe = recipe.plain()
        self._bucket = job.bucket
        self._folder = f"{job.output.prefix}/checkpoints"
        self._checkpoints = Checkpoints(job)

    def save(self, state: TrainState, history: History) -> str:
        """Publish a checkpoint. Returns its prefix."""
        for name, data in history.grids.items():
            if not self._bucket.exists(self._grid(name)):
                self._bucket.write(self._grid(name), data)
        tensors = state.tensors()
        record: dict[str, Any] = {
            "images": state.images,
            "recipe": self._recipe,
            "metrics": history.metrics,
            "grids": {name: sha256(data).hexdigest() for name, data in sorted(history.grids.items())},
        }
        if history.best is not None:
            record["best"] = {"kimg": history.best.kimg, "distance": history.best.distance}
            tensors |= {BEST + name: tensor for name, tensor in history.best.weights.items()}
        return self._checkpoints.save(f"kimg-{state.images / 1000:010.3f}", tensors, record)

    def restore(self, state: TrainState) -> History | None:
        """Continue from the newest checkpoint that is sound; None where there is none.

        Raises:
            ConfigError: it was made with another configuration, from other inputs, or by a number of
                processes for which presets say other things.
            InputError: no checkpoint is sound, or a grid is damaged.
        """
        checkpoint = self._checkpoints.newest()
        if checkpoint is None:
            return None
        tensors, record = checkpoint.tensors, checkpoint.record
        changed = differences(record["recipe"], self._recipe)
        if changed:
            raise ConfigError(
                "the checkpoint was trained with other numbers, which presets take from the number of "
                f"processes: {'; '.join(changed)}. Start as many processes as before, or set these values"
            )
        best = {name.removeprefix(BEST): tensors.pop(name) for name in list(tensors) if name.startswith(BEST)}
        restore_tensors(state, tensors)
        state.images = record["images"]
        return History(
            record["metrics"],
            {name: self._read_grid(name, digest) for name, digest in record["grids"].items()},
            Best(**record["best"], weights=best) if best else None,
        )

    def show(self, views: Mapping[str, bytes]) -> None:
        """Lay pictures of the training beside the checkpoints, in place of older ones."""
        for name, data in views.items():
            self._bucket.write(f"{self._folder}/{name}", data)

    def clear(self) -> None:
        """Delete everything, once the output is published."""
        self._checkpoints.clear()

    def _grid(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _read_grid(self, name: str, digest: str) -> bytes:
        data = self._bucket.read(self._grid(name))
        if sha256(data).hexdigest() != digest:
            raise InputError(
                f"{self._grid(name)} is damaged: its sha256 is not {digest}, as the checkpoint says; put the "
                "picture back from a copy, or start again with --replace"
            )
        return data


@torch.no_grad()
def restore_tensors(state: TrainState, saved: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into a state's own."""
    own = state.tensors()
    assert own.keys() == saved.keys(), sorted(own.keys() ^ saved.keys())
    for name, tensor in own.items():
        tensor.copy_(saved[name])
