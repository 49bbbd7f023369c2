"""All that a training carries from one step to the next."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from mura_jobs.gan.config import Recipe, TrainGanSettings
from mura_jobs.gan.discriminator import Discriminator
from mura_jobs.gan.generator import Generator
from mura_jobs.gan.layers import initialise
from mura_jobs.job.randomness import torch_stream

MEASURES = (
    "loss_G",
    "loss_D_fake",
    "loss_D_real",
    "logit_fake",
    "logit_real",
    "sign_real",
    "path_length",
    "r1",
)
"""What is averaged over a tick."""


@dataclass
class TrainState:
    """Networks, optimisers and running statistics. `tensors()` and `images` are all there is to save."""

    G: Generator
    D: Discriminator
    G_ema: Generator
    adam_g: torch.optim.Adam
    adam_d: torch.optim.Adam
    p: Tensor
    """Augmentation probability, shape ()."""
    sign_sum: Tensor
    """Sum of sign(D(real)) since p was last adapted; the world's mean of each step counts once. Shape ()."""
    r_t: Tensor
    """The overfitting heuristic at p's last adaptation, E[sign(D(real))], shape ()."""
    path_length_mean: Tensor
    """Running mean of path lengths, shape ()."""
    sums: Tensor
    """Sums since the last tick, one a measure, shape (measures,)."""
    counts: Tensor
    """How many values each sum has, shape (measures,)."""
    broken: Tensor
    """1 from the first step on that had a loss or gradient that is not finite, shape (). Such a step and all
    after it leave weights and optimisers alone, so that nobody needs to look before the tick ends."""
    images: int = 0
    """Real images seen by all processes together."""

    @classmethod
    def fresh(cls, recipe: Recipe, settings: TrainGanSettings, device: torch.device) -> Self:
        """The state before the first step."""
        G, D = Generator(recipe.network), Discriminator(recipe.network)
        initialise(G, torch_stream(settings.seed, "weights", "G"))
        initialise(D, torch_stream(settings.seed, "weights", "D"))
        G_ema = Generator(recipe.network).requires_grad_(False)
        G_ema.load_state_dict(G.state_dict())
        for network in (G, D, G_ema):
            network.to(device)
        has_path_length = settings.path_length_weight > 0
        zero = torch.zeros([], device=device)
        return cls(
            G=G,
            D=D,
            G_ema=G_ema,
            adam_g=_adam(G, recipe.learning_rate, settings.path_length_interval if has_path_length else None),
            adam_d=_adam(D, recipe.learning_rate, settings.r1_interval),
            p=zero + settings.augment_initial,
            sign_sum=zero.clone(),
            r_t=zero.clone(),
            path_length_mean=zero.clone(),
            sums=torch.zeros(len(MEASURES), device=device),
            counts=torch.zeros(len(MEASURES), device=device),
            broken=zero.clone(),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by a name that says whose it is; the tensors themselves, not copies."""
        found = {
            name: getattr(self, name)
            for name in ("p", "sign_sum", "r_t", "path_length_mean", "sums", "counts", "broken")
        }
        for name, network in (("G", self.G), ("D", self.D), ("G_ema", self.G_ema)):
            found |= {f"{name}.{key}": tensor for key, tensor in network.state_dict().items()}
        for name, adam, network in (("adam_g", self.adam_g, self.G), ("adam_d", self.adam_d, self.D)):
            for key, parameter in network.named_parameters():
                found |= {f"{name}.{key}.{part}": value for part, value in adam.state[parameter].items()}
        return found

    @torch.no_grad()
    def measure(self, **values: Tensor) -> None:
        """Count one value of each measure that is named."""
        for name, value in values.items():
            index = MEASURES.index(name)
            self.sums[index] += value
            self.counts[index] += 1

    def averages(self) -> dict[str, float]:
        """Means since the last tick, and begin anew. Waits for the device."""
        means = (self.sums / self.counts.clamp(min=1)).tolist()
        seen = {name: mean for name, mean, n in zip(MEASURES, means, self.counts.tolist(), strict=True) if n}
        self.sums.zero_()
        self.counts.zero_()
        return seen


def _adam(network: nn.Module, learning_rate: float, interval: int | None) -> torch.optim.Adam:
    """Adam (0, 0.99), corrected for regularising only every `interval` steps (StyleGAN2, appendix B).

    Its state is made here, so that it exists before the first step as after any other.
    """
    correction = interval / (interval + 1) if interval else 1.0
    adam = torch.optim.Adam(
        network.parameters(),
        lr=learning_rate * correction,
        betas=(0.0, 0.99**correction),
        eps=1e-8,
        fused=True,
    )
    for parameter in network.parameters():
        adam.state[parameter] = {
            "step": torch.zeros([], device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return adam
