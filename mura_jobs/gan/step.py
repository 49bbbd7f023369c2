"""One training step: the phases Gmain, Greg, Dmain, Dreg, then the averages.

Whatever a step draws comes from streams named by seed, purpose and images seen, and is drawn for the whole
world batch; a process takes its own rows. So neither the number of processes nor a stop and resume changes
what is drawn.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from mura_jobs.gan.augment.draws import Draws
from mura_jobs.gan.augment.pipeline import augment
from mura_jobs.gan.augment.presets import pipe_of
from mura_jobs.gan.config import Recipe, TrainGanSettings
from mura_jobs.gan.discriminator import Discriminator
from mura_jobs.gan.ema import ema_decay, update_ema
from mura_jobs.gan.generator import Z_DIM
from mura_jobs.gan.loss import (
    discriminator_fake_loss,
    discriminator_real_loss,
    generator_loss,
    path_length_penalty,
    path_lengths,
    r1_penalty,
)
from mura_jobs.gan.state import TrainState
from mura_jobs.job.distributed import all_reduce_mean
from mura_jobs.job.randomness import torch_stream
from mura_jobs.job.world import World

W_AVG_DECAY = 0.995
PATH_LENGTH_DECAY = 0.01
PATH_LENGTH_SHARE = 2
"""Path lengths are taken on one image of this many."""
ADAPTATION_INTERVAL = 4
"""Steps from one adaptation of p to the next."""


@dataclass(frozen=True)
class Step:
    """What does not change from step to step."""

    recipe: Recipe
    settings: TrainGanSettings
    world: World

    @cached_property
    def first_order(self) -> Callable[..., Tensor]:
        """Calls a network where no second derivative is taken, which compiled networks don't have."""
        return torch.compile(_call, dynamic=False) if self.settings.compile else _call

    def __call__(self, state: TrainState, real_NCHW: Tensor, label_NL: Tensor | None = None) -> None:
        """Train on one batch.

        Args:
            state: changed in place.
            real_NCHW: this process's rows of the world batch, in [-1, 1].
            label_NL: their labels, one-hot, for conditional networks. Fakes get the same, so that both have
                them as often as the data.
        """
        index = state.images // self.recipe.batch
        with _only(state.G, state.D):
            self.generator_main(state, label_NL)
            if self.settings.path_length_weight > 0 and index % self.settings.path_length_interval == 0:
                self.generator_regulariser(state, label_NL)
        with _only(state.D, state.G, self.frozen(state.D)):
            self.discriminator_main(state, real_NCHW, label_NL)
            if index % self.settings.r1_interval == 0:
                self.discriminator_regulariser(state, real_NCHW, label_NL)
        if (index + 1) % ADAPTATION_INTERVAL == 0:
            self.adapt(state)
        decay = ema_decay(self.recipe.batch, state.images, self.recipe.ema_kimg, self.recipe.ema_rampup)
        update_ema(state.G_ema, state.G, decay)
        state.images += self.recipe.batch

    def frozen(self, D: Discriminator) -> list[nn.Module]:
        """The discriminator's layers that keep their initial weights (freeze-D, Mo et al. 2020)."""
        count = self.settings.freeze_d
        return [D.fromrgb, *D.blocks[:count]] if count else []

    def generator_main(self, state: TrainState, label_NL: Tensor | None) -> None:
        """Gmain: fakes should look real."""
        fake, _, w_mean = self._fake(state, "Gmain", self.recipe.batch, label_NL, self.first_order)
        loss = generator_loss(self.first_order(state.D, self._augment(state, "Gmain", fake), label_NL))
        torch.autograd.backward(loss)
        shared = {"loss": loss.detach(), "w": w_mean.detach()}
        self._update(state, state.G, state.adam_g, shared)
        state.G.mapping.w_avg.lerp_(shared["w"], 1 - W_AVG_DECAY)
        state.measure(loss_G=shared["loss"])

    def generator_regulariser(self, state: TrainState, label_NL: Tensor | None) -> None:
        """Greg: a step in w should change images by the same amount everywhere."""
        # Whole minibatch-std groups are not needed here: D takes no part.
        batch = max(self.recipe.batch // PATH_LENGTH_SHARE, self.world.size)
        some = None if label_NL is None else label_NL[::PATH_LENGTH_SHARE]
        fake, ws, _ = self._fake(state, "Greg", batch, some, _call)
        stream = self._stream(state, "path length")
        direction = torch.randn(batch, *fake.shape[1:], generator=stream)[self.world.rows(batch)]
        lengths = path_lengths(fake, ws, direction.to(fake))
        penalty = path_length_penalty(lengths, state.path_length_mean)
        settings = self.settings
        torch.autograd.backward(penalty * (settings.path_length_weight * settings.path_length_interval))
        shared = {"length": lengths.detach().mean()}
        self._update(state, state.G, state.adam_g, shared)
        state.path_length_mean.lerp_(shared["length"], PATH_LENGTH_DECAY)
        state.measure(path_length=shared["length"])

    def discriminator_main(self, state: TrainState, real_NCHW: Tensor, label_NL: Tensor | None) -> None:
        """Dmain: tell fakes from reals."""
        with torch.no_grad():
            fake, _, _ = self._fake(state, "Dmain", self.recipe.batch, label_NL, self.first_order)
            fake = self._augment(state, "Dmain fake", fake)
        fake_logits = self.first_order(state.D, fake, label_NL)
        fake_loss = discriminator_fake_loss(fake_logits)
        torch.autograd.backward(fake_loss)
        real = self._augment(state, "Dmain real", real_NCHW)
        real_logits = self.first_order(state.D, real, label_NL)
        real_loss = discriminator_real_loss(real_logits)
        torch.autograd.backward(real_loss)
        shared = {
            "loss_D_fake": fake_loss.detach(),
            "loss_D_real": real_loss.detach(),
            "logit_fake": fake_logits.detach().mean(),
            "logit_real": real_logits.detach().mean(),
            "sign_real": real_logits.detach().sign().mean(),
        }
        self._update(state, state.D, state.adam_d, shared)
        state.sign_sum += shared["sign_real"]
        state.measure(**shared)

    def discriminator_regulariser(
        self, state: TrainState, real_NCHW: Tensor, label_NL: Tensor | None
    ) -> None:
        """Dreg: D should be flat around reals."""
        real = real_NCHW.detach().requires_grad_()
        penalty = r1_penalty(real, state.D(self._augment(state, "Dreg", real), label_NL)).mean()
        torch.autograd.backward(penalty * (self.recipe.gamma / 2 * self.settings.r1_interval))
        shared = {"r1": penalty.detach()}
        self._update(state, state.D, state.adam_d, shared)
        state.measure(**shared)

    def adapt(self, state: TrainState) -> None:
        """Move p by a fixed step towards r_t = target (ADA, section 3)."""
        state.r_t.copy_(state.sign_sum / ADAPTATION_INTERVAL)
        state.sign_sum.zero_()
        if self.recipe.augment != "none":
            step = self.recipe.batch * ADAPTATION_INTERVAL / (self.settings.augment_kimg * 1000)
            state.p.add_((state.r_t - self.settings.augment_target).sign() * step).clamp_(min=0)

    def _fake(
        self,
        state: TrainState,
        phase: str,
        batch: int,
        label_NL: Tensor | None,
        call: Callable[..., Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """This process's rows of a world batch of fakes: images, their w for each layer, the mean w."""
        stream, rows, G = self._stream(state, phase), self.world.rows(batch), state.G
        device = state.p.device
        z = torch.randn(batch, 2, Z_DIM, generator=stream)[rows].to(device)
        layers = G.synthesis.layers
        mixed = torch.rand(batch, generator=stream)[rows] < self.settings.style_mixing
        crossover = torch.randint(1, layers, (batch,), generator=stream)[rows]
        is_second = mixed[:, None] & (torch.arange(layers) >= crossover[:, None])
        noise = [maps[rows].to(device) for maps in G.random_noise(batch, stream)]
        # both z of an image have its label
        twice = None if label_NL is None else label_NL.repeat_interleave(2, dim=0)
        w = call(G.mapping, z.flatten(0, 1), twice)
        w = w.reshape(-1, 2, w.shape[1])
        ws = torch.where(is_second.to(device)[:, :, None], w[:, 1:], w[:, :1])
        return call(G.synthesis, ws, noise), ws, w[:, 0].mean(0)

    def _augment(self, state: TrainState, phase: str, images_NCHW: Tensor) -> Tensor:
        pipe = pipe_of(self.recipe.augment, images_NCHW.shape[1])
        batch = self.recipe.batch
        draws = Draws(batch, self.world.rows(batch), self._stream(state, f"augment {phase}"), state.p.device)
        return augment(images_NCHW, pipe, state.p, draws)

    def _stream(self, state: TrainState, purpose: str) -> torch.Generator:
        return torch_stream(self.settings.seed, purpose, state.images)

    def _update(
        self, state: TrainState, network: nn.Module, adam: torch.optim.Adam, shared: dict[str, Tensor]
    ) -> None:
        """Average gradients and `shared` over the processes, and step unless something is not finite."""
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        all_reduce_mean(self.world, [*gradients, *shared.values()])
        norms = torch._foreach_norm(gradients)  # noqa: SLF001 - the fast way over many tensors
        total = torch.stack([*norms, *(value.sum() for value in shared.values())]).sum()
        state.broken.copy_(torch.maximum(state.broken, (~total.isfinite()).to(state.broken.dtype)))
        # What a GradScaler sets: a fused Adam skips the step where found_inf is 1.
        adam.found_inf, adam.grad_scale = state.broken, None  # type: ignore[attr-defined]
        adam.step()
        adam.zero_grad(set_to_none=True)


def _call(network: nn.Module, *inputs: Any) -> Tensor:  # noqa: ANN401 - whatever the network takes
    y: Tensor = network(*inputs)
    return y


@contextmanager
def _only(trained: nn.Module, other: nn.Module, frozen: Sequence[nn.Module] = ()) -> Iterator[None]:
    """Gradients for the one network's weights only, but for its frozen layers."""
    trained.requires_grad_(requires_grad=True)
    for layer in (other, *frozen):
        layer.requires_grad_(requires_grad=False)
    yield
