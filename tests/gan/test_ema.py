import pytest
import torch
from torch import nn

from mura_jobs.gan.ema import ema_decay, update_ema


def test_after_a_half_life_half_of_the_old_weights_is_left() -> None:
    decay = ema_decay(batch=50, images_seen=10**9, ema_kimg=1.0, rampup=0.05)
    assert decay**20 == pytest.approx(0.5)


def test_early_on_the_half_life_is_a_share_of_the_images_seen() -> None:
    assert ema_decay(10, 2000, ema_kimg=10.0, rampup=0.05) == pytest.approx(0.5 ** (10 / 100))
    assert ema_decay(10, 2000, ema_kimg=10.0, rampup=0.0) == pytest.approx(0.5 ** (10 / 10_000))


def test_the_first_step_copies() -> None:
    assert ema_decay(10, 0, ema_kimg=10.0, rampup=0.05) == 0.0


def test_parameters_are_averaged_and_buffers_copied() -> None:
    average, current = (nn.BatchNorm1d(3) for _ in range(2))
    nn.init.constant_(average.weight, 1.0)
    nn.init.constant_(current.weight, 3.0)
    assert current.running_mean is not None
    current.running_mean.fill_(7.0)
    update_ema(average, current, 0.75)
    torch.testing.assert_close(average.weight.detach(), torch.full((3,), 1.5))
    torch.testing.assert_close(average.running_mean, torch.full((3,), 7.0))
