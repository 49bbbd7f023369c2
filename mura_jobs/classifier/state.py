"""All that a training carries from one step to the next."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from mura_jobs.classifier.config import TrainCnnConfig
from mura_jobs.classifier.optimise import Average, make_optimiser
from mura_jobs.features.network import Classifier
from mura_jobs.job.checkpoint import Checkpoint


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

    @property
    def record(self) -> dict[str, Any]:
        """All that is no tensor, as JSON holds it."""
        return {"step": self.step, "history": self.history}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from what `tensors` and `record` held."""
        parts: dict[str, dict[str, Tensor]] = {}
        for key, value in checkpoint.tensors.items():
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
        self.step, self.history = checkpoint.record["step"], checkpoint.record["history"]
