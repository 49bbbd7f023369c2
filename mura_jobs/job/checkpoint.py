"""Checkpoints of a training: tensors as safetensors, the rest as JSON, published like any artifact."""

from collections.abc import Mapping
from dataclasses import dataclass
import json
from typing import Any

import safetensors.torch
from torch import Tensor

from mura_jobs.bucket.base import ObjectMissing
from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact, Draft, clear_workings, withdraw
from mura_jobs.job.job import Job
from mura_jobs.job.manifest import MANIFEST

KEPT = 2
"""Checkpoints that are kept: the newest, and one in case its bytes turn out damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """What a training had put down."""

    tensors: dict[str, Tensor]
    """Every tensor by name, on the CPU."""
    record: dict[str, Any]
    """All else, as JSON holds it."""


class Checkpoints:
    """The checkpoints of a job's output, in the folder `checkpoints` beside it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._folder = f"{job.output.prefix}/checkpoints"

    def save(self, name: str, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> str:
        """Publish a checkpoint, then delete all but the newest few. Returns its prefix.

        Only the main process may call it.

        Args:
            name: sorts after the names of all earlier checkpoints: "step-000000120", "kimg-000012.000".
            tensors: networks, optimisers and whatever else training changes.
            record: the rest, as JSON can hold it.
        """
        output = self._job.output
        prefix = f"{self._folder}/{name}"
        draft = Draft(output.bucket, prefix, stage=output.stage, config=output.config, inputs=output.inputs)
        stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        draft.put("state.safetensors", safetensors.torch.save(stored))
        draft.put("state.json", json.dumps(record, allow_nan=False).encode())
        draft.publish({"checkpoint": name})
        for older in self._complete()[:-KEPT]:
            withdraw(output.bucket, older)
        return prefix

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint whose bytes are those that were published; None where there is none at all.

        A damaged one is named in a warning and withdrawn, so that what training saves next is the newest.

        Raises:
            ConfigError: it was made with another configuration or from other inputs.
            InputError: there are checkpoints, and all of them are damaged.
        """
        job, damaged = self._job, ""
        for prefix in reversed(self._complete()):
            try:
                artifact = Artifact.open(job.bucket, prefix)
                artifact.manifest.require_same(prefix, job.output.config, job.output.inputs)
                return _read(artifact)
            except (InputError, ObjectMissing) as error:
                if not job.bucket.exists(f"{prefix}/{MANIFEST}"):
                    return self.newest()  # another attempt went further, or published, and cleared it away
                damaged = f"{prefix} is damaged: {error}"
            if job.world.is_main:
                job.events.emit("warning", message=f"{damaged}; going back to the checkpoint before it")
                withdraw(job.bucket, prefix)
        if damaged:
            raise InputError(f"{damaged}; no other is left. Start again to train from the beginning")
        return None

    def clear(self) -> None:
        """Delete all of them and what killed attempts left, once the output is published."""
        clear_workings(self._job.bucket, self._job.output.prefix)

    def _complete(self) -> list[str]:
        """Prefixes of the published ones, oldest first."""
        keys = [entry.key for entry in self._job.bucket.list(f"{self._folder}/")]
        return sorted(key.removesuffix(f"/{MANIFEST}") for key in keys if key.endswith(f"/{MANIFEST}"))


def _read(artifact: Artifact) -> Checkpoint:
    record = artifact.read("state.json")
    tensors = artifact.read("state.safetensors")
    return Checkpoint(safetensors.torch.load(tensors), json.loads(record))
