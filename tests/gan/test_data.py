import numpy as np
import pytest
import torch

from mura_jobs.gan.data import Mapped, RealImages
from mura_jobs.job.world import World
from tests.gan.small import packed


def images(count: int) -> RealImages:
    """Image i is grey value i, darker on the left."""
    pixels = np.repeat(np.arange(count, dtype=np.uint8), 16).reshape(count, 4, 4)
    pixels[:, :, 0] = 200
    return RealImages.place(packed(pixels), mirror=False, seed=3, world=World())


def numbers(batch: torch.Tensor) -> list[int]:
    return ((batch[:, 0, 0, 1] + 1) * 127.5).round().int().tolist()


def test_every_pass_shows_every_image_once_in_an_order_of_its_own() -> None:
    data = images(10)
    orders = [numbers(data.batch(start, slice(None), 10)) for start in (0, 10)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(10))
    assert orders[0] != orders[1]


def test_a_batch_may_reach_into_the_next_pass() -> None:
    data = images(10)
    whole = numbers(data.batch(0, slice(None), 20))
    assert numbers(data.batch(8, slice(None), 4)) == whole[8:12]


def test_processes_share_a_batch() -> None:
    data = images(10)
    parts = [numbers(data.batch(4, rows, 8)) for rows in (slice(0, 4), slice(4, 8))]
    assert parts[0] + parts[1] == numbers(data.batch(4, slice(None), 8))


def test_grey_values_fill_the_range_from_minus_one_to_one() -> None:
    pixels = np.array([0, 255], dtype=np.uint8).reshape(2, 1, 1)
    data = RealImages.place(packed(pixels), mirror=False, seed=0, world=World())
    assert sorted(data.batch(0, slice(None), 2).flatten().tolist()) == [-1.0, 1.0]


def test_mirrored_copies_are_shown_once_a_pass_too() -> None:
    pixels = np.arange(8, dtype=np.uint8).reshape(2, 1, 4) * np.ones((1, 4, 1), np.uint8)
    data = RealImages.place(packed(pixels), mirror=True, seed=0, world=World())
    shown = ((data.batch(0, slice(None), 4)[:, 0, 0] + 1) * 127.5).round().int().tolist()
    assert sorted(shown) == sorted([[0, 1, 2, 3], [3, 2, 1, 0], [4, 5, 6, 7], [7, 6, 5, 4]])


@pytest.mark.parametrize("mirror", [False, True])
def test_images_that_do_not_fit_are_read_ahead_and_are_the_same(mirror: bool) -> None:
    """A quarter of the memory is the limit. Any jump, as after a resume, only costs the read ahead."""
    pixels = np.random.default_rng(0).integers(0, 256, (10, 4, 4), dtype=np.uint8)
    needed = 4 * pixels.nbytes
    kept, mapped = (
        RealImages.place(packed(pixels), mirror=mirror, seed=1, world=World(), memory=memory)
        for memory in (needed, needed - 1)
    )
    assert isinstance(mapped.store, Mapped)
    assert isinstance(kept.store, torch.Tensor)
    for first in (0, 4, 8, 12, 4, 16):
        assert torch.equal(mapped.batch(first, slice(None), 4), kept.batch(first, slice(None), 4))
