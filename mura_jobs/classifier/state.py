"""All that a training carries from one step to the next, and its checkpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
import json
from typing import Any, Self

import safetensors.torch
import torch
from torch import Tensor

from mura_jobs.bucket.base import Bucket
from mura_jobs.classifier.config import TrainCnnConfig
from mura_jobs.classifier.optimise import Average, make_optimiser
from mura_jobs.features.network import Classifier
from mura_jobs.job.artifact import MANIFEST, Artifact, Draft, withdraw


@dataclass
class TrainState:
    """Networks, optimiser and what happened so far."""

    network: Classifier
    optimiser: torch.optim.Optimizer
    average: Average | None
    """Moving average of the network, if there is one."""
    sums: Tensor
    """Loss and right calls since the epoch began, shape (2,), on the device."""
    step: int = 0
    """Steps taken."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One row an epoch."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the best epoch so far, as safetensors will hold them."""

    @classmethod
    def fresh(cls, config: TrainCnnConfig, network: Classifier, epoch_steps: int) -> Self:
        """The state before the first step."""
        return cls(
            network=network,
            optimiser=make_optimiser(config.optimiser, network),
            average=Average(network, config.ema_epochs * epoch_steps) if config.ema_epochs else None,
            sums=torch.zeros(2, device=next(network.parameters()).device),
        )

    def weights(self) -> dict[str, Tensor]:
        """What is scored and kept: the network's state, averaged where there is an average. Not a copy."""
        return self.network.state_dict() | (self.average.tensors if self.average else {})

    @contextmanager
    def scored_weights(self) -> Iterator[None]:
        """The network with the weights that are scored, for as long as the context lasts."""
        if self.average is None:
            yield
            return
        live = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.weights())
        yield
        self.network.load_state_dict(live)

    def keep(self) -> None:
        """Remember the weights as the best."""
        self.best = {name: value.detach().clone() for name, value in self.weights().items()}

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by a name that says whose it is."""
        optimiser: dict[int, dict[str, Tensor]] = self.optimiser.state_dict()["state"]
        parts: dict[str, dict[str, Tensor]] = {
            "network": self.network.state_dict(),
            "average": self.average.tensors if self.average else {},
            "best": self.best,
            "": {"sums": self.sums},
        }
        parts |= {f"optimiser.{index}": state for index, state in optimiser.items()}
        return {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}

    def restore(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Continue from what `tensors` and a record of step and history held."""
        parts: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            part, _, name = key.rpartition(".") if key.startswith("optimiser.") else key.partition(".")
            parts.setdefault(part, {})[name] = value
        device = self.sums.device
        self.network.load_state_dict(parts["network"])
        if self.average:
            for name, value in self.average.tensors.items():
                value.copy_(parts["average"][name])
        self.best = {name: value.to(device) for name, value in parts.get("best", {}).items()}
        self.sums.copy_(parts[""]["sums"])
        weights = [weight for group in self.optimiser.param_groups for weight in group["params"]]
        for index, weight in enumerate(weights):
            saved = parts.get(f"optimiser.{index}", {})
            # fused optimisers walk through memory: the moments must lie in it as their weight does
            self.optimiser.state[weight] = {
                name: torch.empty_like(weight).copy_(value)
                if value.shape == weight.shape
                else value.to(device)
                for name, value in saved.items()
            }
        self.step, self.history = record["step"], record["history"]


class Checkpoints:
    """Checkpoints of one output, under its prefix: the newest complete one counts."""

    def __init__(self, bucket: Bucket, output: Draft) -> None:
        self._bucket = bucket
        self._output = output
        self._prefix = f"{output.prefix}/checkpoints"

    def save(self, state: TrainState) -> None:
        """Write a checkpoint, then delete older ones."""
        output = self._output
        place = f"{self._prefix}/step-{state.step:09d}"
        draft = Draft(self._bucket, place, stage=output.stage, config=output.config, inputs=output.inputs)
        tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors().items()}
        draft.put("state.safetensors", safetensors.torch.save(tensors))
        draft.put("state.json", json.dumps({"step": state.step, "history": state.history}).encode())
        draft.publish({"step": state.step})
        for other in self._complete():
            if other != place:
                withdraw(self._bucket, other)

    def restore(self, state: TrainState) -> bool:
        """Continue from the newest checkpoint; False where there is none.

        Raises:
            ConfigError: the newest was made with another configuration or from other inputs.
        """
        places = self._complete()
        if not places:
            return False
        artifact = Artifact.open(self._bucket, places[-1])
        artifact.manifest.require_same(artifact.prefix, self._output.config, self._output.inputs)
        record = json.loads(artifact.read("state.json"))
        state.restore(safetensors.torch.load(artifact.read("state.safetensors")), record)
        return True

    def clear(self) -> None:
        """Delete all of them, once the output is published."""
        self._bucket.delete(entry.key for entry in list(self._bucket.list(f"{self._prefix}/")))

    def _complete(self) -> list[str]:
        """Their prefixes, oldest first."""
        keys = [entry.key for entry in self._bucket.list(f"{self._prefix}/")]
        return sorted(key.removesuffix(f"/{MANIFEST}") for key in keys if key.endswith(f"/{MANIFEST}"))
