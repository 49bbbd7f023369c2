from functools import partial

import pytest
import torch

from mura_jobs.gan.state import TrainState
from mura_jobs.gan.step import ADAPTATION_INTERVAL, Step
from mura_jobs.job.world import World
from tests.gan.small import recipe, settings

CPU = torch.device("cpu")


def fresh(**changes: object) -> tuple[TrainState, Step]:
    chosen = settings(**changes)
    return TrainState.fresh(recipe(chosen), chosen, CPU), Step(recipe(chosen), chosen, World())


def reals() -> torch.Tensor:
    return torch.rand(4, 1, 16, 16) * 2 - 1


def weights(state: TrainState) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in state.tensors().items()}


def test_p_settles_where_the_heuristic_meets_its_target() -> None:
    """A discriminator whose r_t falls with p, as it does when augmentation hinders overfitting."""
    state, step = fresh(augment_initial=0.0, augment_kimg=4.0, augment_target=0.6)
    amount = 4 * ADAPTATION_INTERVAL / 4000
    for _ in range(400):
        state.sign_sum += ADAPTATION_INTERVAL * (1.0 - 1.2 * state.p)
        step.adapt(state)
    assert abs(state.p.item() - 1 / 3) <= 1.01 * amount
    assert abs(state.r_t.item() - 0.6) <= 1.2 * 1.01 * amount


def test_p_goes_from_zero_to_one_in_augment_kimg_and_never_below_zero() -> None:
    state, step = fresh(augment_initial=0.0, augment_kimg=1.6)
    for _ in range(1600 // (4 * ADAPTATION_INTERVAL)):
        state.sign_sum += ADAPTATION_INTERVAL
        step.adapt(state)
    torch.testing.assert_close(state.p, torch.tensor(1.0))
    state.p.fill_(0.001)
    state.sign_sum -= ADAPTATION_INTERVAL
    step.adapt(state)
    assert state.p.item() == 0.0


def test_a_step_changes_both_networks_and_the_average() -> None:
    state, step = fresh()
    before = weights(state)
    step(state, reals())
    changed = {name for name, tensor in state.tensors().items() if not torch.equal(tensor, before[name])}
    for name in (
        "G.synthesis.b4.const",
        "D.b16.conv0.weight",
        "G_ema.mapping.fc0.weight",
        "path_length_mean",
    ):
        assert name in changed
    assert state.images == 4
    assert state.broken.item() == 0


def test_the_same_state_takes_the_same_step() -> None:
    real = reals()
    ends = []
    for _ in range(2):
        state, step = fresh()
        for _ in range(3):
            step(state, real)
        ends.append(weights(state))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_loss_that_is_not_finite_stops_all_updates() -> None:
    """From that step on weights and optimisers stay as they were; the flag says so."""
    state, step = fresh()
    step(state, reals())
    assert state.broken.item() == 0
    before = weights(state)
    bad = reals()
    bad[0, 0, 3, 3] = float("nan")
    step(state, bad)
    assert state.broken.item() == 1
    # the generator's part of that step came first, and was sound
    between = weights(state)
    step(state, reals())
    for name, tensor in state.tensors().items():
        if name.startswith(("D.", "adam_d.")):
            assert torch.equal(tensor, before[name]), name
        if name.startswith(("G.synthesis", "adam_g.")):
            assert torch.equal(tensor, between[name]), name


def test_regularised_every_k_steps_adam_makes_as_much_way_as_without() -> None:
    """With c = k/(k+1), the rate is c times the plain one, and the betas are plain ones to the power of c."""
    state, _ = fresh(path_length_interval=4, r1_interval=16, learning_rate=0.002)
    for adam, k in ((state.adam_g, 4), (state.adam_d, 16)):
        group = adam.param_groups[0]
        assert abs(group["lr"] * (k + 1) - 0.002 * k) < 1e-12
        assert abs(group["betas"][1] ** (k + 1) - 0.99**k) < 1e-12
    plain, _ = fresh(path_length_weight=0.0, learning_rate=0.002)
    assert plain.adam_g.param_groups[0]["lr"] == 0.002


def test_averages_are_means_since_the_last_tick() -> None:
    state, _ = fresh()
    for value in (1.0, 3.0):
        state.measure(r1=torch.tensor(value))
    assert state.averages() == {"r1": 2.0}
    assert state.averages() == {}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_never_waits_for_the_device(precision: str) -> None:
    """On torch's device without memory, where to ask for a value is an error, every phase runs.

    With all augmentations and both regularisers.
    """
    chosen = settings(precision=precision, augment="bgcfnc")
    resolved, device = recipe(chosen), torch.device("meta")
    state = TrainState.fresh(resolved, chosen, device)
    step = Step(resolved, chosen, World(device="meta"))
    for _ in range(max(chosen.r1_interval, ADAPTATION_INTERVAL) + 1):
        step(state, torch.zeros(resolved.batch, 1, 16, 16, device=device))
    assert state.images == 17 * resolved.batch


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("default")  # torch's own, of what it can't compile
def test_compiled_networks_take_the_same_steps(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each phase, both regularisers and labels included, within float32's error of the step as it is."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    torch._dynamo.reset()
    ends = []
    real = reals()
    for compiled in (False, True):
        state, step = fresh(compile=compiled)
        for _ in range(2):
            step(state, real)
        ends.append(weights(state))
    assert state.broken.item() == 0
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name], tensor, rtol=1e-3, atol=1e-5, msg=name)
