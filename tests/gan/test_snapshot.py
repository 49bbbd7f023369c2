from typing import Any

import numpy as np
import pytest
import torch

from mura_jobs.features.space import FeatureSpace
from mura_jobs.gan.config import TrainGanConfig
from mura_jobs.gan.data import RealImages
from mura_jobs.gan.history import History, frechet_name, misses
from mura_jobs.gan.snapshot import Collapsed, Observer
from mura_jobs.gan.state import TrainState
from mura_jobs.job.world import World
from tests.gan.small import drawn, packed, recipe, settings

PIXELS = FeatureSpace("pixels", lambda grey_N1RR: grey_N1RR.flatten(1)[:, ::32], torch.device("cpu"))
DISTANCE = frechet_name("pixels")


def observer(space: FeatureSpace | None = PIXELS, **changes: Any) -> Observer:  # noqa: ANN401
    metrics = {"images": 16, **changes.pop("metrics", {})}
    config = TrainGanConfig.parse(
        settings(**changes).plain()
        | {"label": "positive", "metrics": {"space": "efficientnet-lite0"} | metrics}
    )
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)
    return Observer(
        config, RealImages.place(packed(pixels), mirror=False, seed=0, world=World()), space, World()
    )


def state() -> TrainState:
    chosen = settings()
    found = TrainState.fresh(recipe(chosen), chosen, torch.device("cpu"))
    drawn(found.G_ema)
    return found


def look(observer: Observer, state: TrainState, history: History, kimg: float) -> dict[str, float]:
    line = {"kimg": kimg}
    observer.look(state, history, line)
    history.metrics.append(line)
    return line


def test_the_best_generator_is_kept_and_a_worse_one_is_not() -> None:
    """By Fréchet distance. What is kept is a copy: training goes on without it."""
    watching, training, history = observer(), state(), History()
    first = look(watching, training, history, 1)
    assert history.best is not None
    assert history.best[:2] == (1, first[DISTANCE])
    kept = {name: value.clone() for name, value in history.best.weights.items()}
    with torch.no_grad():
        training.G_ema.synthesis.b16.torgb.bias += 5  # type: ignore[union-attr, operator]
    assert look(watching, training, history, 2)[DISTANCE] > first[DISTANCE]
    assert history.best.kimg == 1
    assert all(torch.equal(value, kept[name]) for name, value in history.best.weights.items())


def test_the_same_generator_has_the_same_distances() -> None:
    """A look draws from streams of its own and leaves the training alone."""
    watching, training = observer(), state()
    before = {name: tensor.clone() for name, tensor in training.tensors().items()}
    lines = [look(watching, training, History(), 1) for _ in range(2)]
    assert lines[0] == lines[1]
    assert all(torch.equal(tensor, before[name]) for name, tensor in training.tensors().items())


def test_patience_ends_after_so_many_snapshots_without_a_better_one() -> None:
    history = History(metrics=[{DISTANCE: value} for value in (5.0, 4.0, 4.5, 4.0)])
    assert misses(history.values(DISTANCE)) == 2
    assert observer(metrics={"patience": 2}).is_patience_over(history)
    assert not observer(metrics={"patience": 3}).is_patience_over(history)
    assert not observer().is_patience_over(history)


def test_one_image_from_every_z_is_a_collapse() -> None:
    """Twice in a row: a first snapshot may be flat, and is only put on record."""
    watching, training, history = observer(space=None), state(), History()
    with torch.no_grad():
        for block in training.G_ema.synthesis.blocks:
            block.torgb.weight.zero_()
    assert look(watching, training, history, 1)["diversity"] == 0
    with pytest.raises(Collapsed, match="mode collapse"):
        look(watching, training, history, 2)
    assert history.best is None
    look(observer(space=None, diversity_alarm=0), training, history, 2)


def test_none_measures_no_distance() -> None:
    """But still draws the grid."""
    history = History()
    assert set(look(observer(space=None), state(), history, 1.5)) == {"kimg", "diversity"}
    assert list(history.grids) == ["grids/fakes-000001.500.png"]
    assert history.best is None
