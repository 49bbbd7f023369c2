import pytest
import torch
from torch import Tensor

from mura_jobs.classifier.augment import DRAWS, augment, draw
from mura_jobs.classifier.config import AugmentConfig
from mura_jobs.job.randomness import torch_stream

NOTHING = {"flip": False, "rotate": 0, "scale": 0, "shift": 0, "brightness": 0, "contrast": 0}


def only(**values: object) -> AugmentConfig:
    return AugmentConfig.parse(NOTHING | values)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(8, 1, 16, 16, generator=torch_stream(0, "test"))


@pytest.fixture
def draws() -> Tensor:
    return draw(8, torch_stream(1, "test"))


def test_nothing_is_changed_where_all_is_off(images: Tensor, draws: Tensor) -> None:
    assert torch.equal(augment(images, draws, only()), images)


def test_a_flip_mirrors_about_half_of_the_images_exactly(images: Tensor, draws: Tensor) -> None:
    flipped = augment(images, draws, only(flip=True))
    for before, after, number in zip(images, flipped, draws[:, 0], strict=True):
        assert torch.equal(after, before.flip(2) if number < 0.5 else before)
    many = augment(images[:1].expand(2000, -1, -1, -1), draw(2000, torch_stream(2, "test")), only(flip=True))
    share = (many == images[0].flip(2)).all(dim=(1, 2, 3)).float().mean()
    assert abs(share - 0.5) < 0.05


def test_an_image_depends_on_its_own_draws_only(images: Tensor, draws: Tensor) -> None:
    """So that sharing a batch out to processes changes no image."""
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    whole = augment(images, draws, AugmentConfig())
    torch.testing.assert_close(augment(images[order], draws[order], AugmentConfig()), whole[order])
    torch.testing.assert_close(augment(images[2:4], draws[2:4], AugmentConfig()), whole[2:4])


def test_the_middle_of_every_range_leaves_the_image(images: Tensor) -> None:
    """A draw of one half is no rotation, no shift and a factor of one."""
    same = augment(images, torch.full((8, DRAWS), 0.5), AugmentConfig())
    torch.testing.assert_close(same, images, atol=1e-5, rtol=0)


def test_a_shift_moves_by_that_share_of_the_side(images: Tensor) -> None:
    """A quarter of 16 pixels is 4, and what comes in is black."""
    draws = torch.full((8, DRAWS), 0.5)
    draws[:, 3] = 1.0
    moved = augment(images, draws, only(shift=0.25))
    torch.testing.assert_close(moved[..., :12], images[..., 4:], atol=1e-5, rtol=0)
    assert (moved[..., 12:] == 0).all()


def test_a_rotation_turns_by_that_angle(images: Tensor) -> None:
    draws = torch.full((8, DRAWS), 0.5)
    draws[:, 1] = 1.0
    turned = augment(images, draws, only(rotate=90))
    right = [torch.rot90(images, quarter, (2, 3)) for quarter in (1, -1)]
    assert any(torch.allclose(turned, candidate, atol=1e-4) for candidate in right)


def test_contrast_keeps_the_mean_and_brightness_moves_it(images: Tensor) -> None:
    draws = torch.ones(8, DRAWS)
    contrasted = augment(images, draws, only(contrast=0.5))
    torch.testing.assert_close(contrasted.mean((1, 2, 3)), images.mean((1, 2, 3)))
    torch.testing.assert_close(contrasted.std((1, 2, 3)), 1.5 * images.std((1, 2, 3)))
    brightened = augment(images, draws, only(brightness=0.2))
    torch.testing.assert_close(brightened, images + 0.2)


def test_size_changes_as_often_up_as_down() -> None:
    """Factors are even in the logarithm: the mean of the logarithms is 0."""
    disc = torch.zeros(1, 1, 64, 64)
    disc[..., 24:40, 24:40] = 1
    draws = draw(400, torch_stream(3, "test"))
    areas = augment(disc.expand(400, -1, -1, -1), draws, only(scale=0.5)).sum((1, 2, 3))
    factors = (areas / 256).log() / 2
    assert abs(factors.mean()) < 0.03
    assert factors.abs().max() <= torch.tensor(1.5).log() + 0.02
