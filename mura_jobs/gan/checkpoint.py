"""Checkpoints of a training: tensors as safetensors, the rest as JSON, published like any artifact."""

from collections.abc import Mapping
import json
from typing import Any

import safetensors.torch
import torch

from mura_jobs.bucket.base import Bucket
from mura_jobs.gan.history import Best, History
from mura_jobs.gan.state import TrainState
from mura_jobs.job.artifact import MANIFEST, Artifact, Draft, withdraw

KEPT = 2
"""Checkpoints that are kept: the newest, and one in case its bytes turn out damaged."""


BEST = "best.safetensors"


class Checkpoints:
    """The checkpoints of one output, in the folder `checkpoints` beside it."""

    def __init__(self, bucket: Bucket, output: Draft) -> None:
        self._bucket = bucket
        self._output = output
        self._folder = f"{output.prefix}/checkpoints"

    def save(self, state: TrainState, history: History) -> str:
        """Publish a checkpoint, then delete all but the newest few. Returns its prefix."""
        output = self._output
        prefix = f"{self._folder}/kimg-{state.images / 1000:010.3f}"
        draft = Draft(self._bucket, prefix, stage=output.stage, config=output.config, inputs=output.inputs)
        for name, data in history.grids.items():
            key = self._grid(name)
            if not self._bucket.exists(key):
                self._bucket.write(key, data)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors().items()}
        draft.put("state.safetensors", safetensors.torch.save(tensors))
        record: dict[str, Any] = {
            "images": state.images,
            "metrics": history.metrics,
            "grids": sorted(history.grids),
        }
        if history.best is not None:
            record["best"] = {"kimg": history.best.kimg, "distance": history.best.distance}
            draft.put(BEST, safetensors.torch.save(dict(history.best.weights)))
        draft.put("state.json", json.dumps(record, allow_nan=False).encode())
        draft.publish({"kimg": state.images / 1000})
        for older in self._complete()[:-KEPT]:
            withdraw(self._bucket, older)
        return prefix

    def restore(self, state: TrainState) -> History | None:
        """Continue from the newest complete checkpoint; None where there is none.

        Raises:
            ConfigError: it was made with another configuration or from other inputs.
            InputError: its bytes are damaged.
        """
        complete = self._complete()
        if not complete:
            return None
        artifact = Artifact.open(self._bucket, complete[-1])
        artifact.manifest.require_same(artifact.prefix, self._output.config, self._output.inputs)
        record = json.loads(artifact.read("state.json"))
        restore_tensors(state, safetensors.torch.load(artifact.read("state.safetensors")))
        state.images = record["images"]
        grids = {name: self._bucket.read(self._grid(name)) for name in record["grids"]}
        best = None
        if "best" in record:
            best = Best(**record["best"], weights=safetensors.torch.load(artifact.read(BEST)))
        return History(record["metrics"], grids, best)

    def show(self, views: Mapping[str, bytes]) -> None:
        """Lay pictures of the training beside the checkpoints, in place of older ones."""
        for name, data in views.items():
            self._bucket.write(f"{self._folder}/{name}", data)

    def clear(self) -> None:
        """Delete all of them, once the output is published."""
        for prefix in self._complete():
            withdraw(self._bucket, prefix)
        self._bucket.delete(entry.key for entry in list(self._bucket.list(f"{self._folder}/")))

    def _complete(self) -> list[str]:
        """Prefixes of the published ones, oldest first."""
        keys = [entry.key for entry in self._bucket.list(f"{self._folder}/kimg-")]
        return sorted(key.removesuffix(f"/{MANIFEST}") for key in keys if key.endswith(f"/{MANIFEST}"))

    def _grid(self, name: str) -> str:
        return f"{self._folder}/{name}"


@torch.no_grad()
def restore_tensors(state: TrainState, saved: Mapping[str, torch.Tensor]) -> None:
    """Copy saved tensors into a state's own."""
    own = state.tensors()
    assert own.keys() == saved.keys(), sorted(own.keys() ^ saved.keys())
    for name, tensor in own.items():
        tensor.copy_(saved[name])
