import pytest

from mura_jobs.errors import ConfigError
from mura_jobs.gan.config import Recipe, TrainGanSettings, resolve


def auto(resolution: int, world_size: int = 1, **changes: object) -> Recipe:
    return resolve(TrainGanSettings.parse({"preset": "auto", **changes}), resolution, 1, world_size)


@pytest.mark.parametrize(
    ("resolution", "world_size", "batch", "group"),
    [(256, 1, 16, 4), (256, 8, 64, 4), (512, 8, 64, 4), (1024, 8, 32, 4), (32, 1, 32, 4), (32, 64, 64, 1)],
)
def test_auto_follows_resolution_and_world_size(
    resolution: int, world_size: int, batch: int, group: int
) -> None:
    found = auto(resolution, world_size)
    assert (found.batch, found.network.minibatch_std_group) == (batch, group)
    assert found.gamma == pytest.approx(0.0002 * resolution**2 / batch)
    assert found.ema_kimg == batch * 10 / 32
    assert found.learning_rate == (0.002 if resolution >= 1024 else 0.0025)
    assert found.network.channel_base == (32768 if resolution >= 512 else 16384)
    assert (found.network.mapping_layers, found.ema_rampup, found.augment) == (2, 0.05, "bgc")


def test_paper256_is_the_adaptive_augmentation_papers() -> None:
    found = resolve(TrainGanSettings.parse({"preset": "paper256"}), 256, 3, 8)
    assert (found.batch, found.gamma, found.ema_kimg, found.ema_rampup) == (64, 1.0, 20.0, 0.0)
    assert (found.network.mapping_layers, found.network.minibatch_std_group) == (8, 8)


def test_radiograph_differs_from_auto_in_its_augmentation_alone() -> None:
    found = resolve(TrainGanSettings(), 256, 1, 1)
    assert found == auto(256).model_copy(update={"augment": "radiograph"})


def test_what_is_given_stands() -> None:
    found = auto(256, batch=8, gamma=0.0, channel_max=32, augment="none")
    assert (found.batch, found.gamma, found.network.channel_max, found.augment) == (8, 0.0, 32, "none")


def test_a_batch_that_splits_a_group_is_refused_with_the_fix() -> None:
    with pytest.raises(ConfigError, match="set batch to a multiple of 8"):
        auto(256, 2, batch=12)
