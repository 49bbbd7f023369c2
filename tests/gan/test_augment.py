from math import pi, sqrt

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from mura_jobs.gan.augment.colour import colour_transform, recolour
from mura_jobs.gan.augment.draws import Draws
from mura_jobs.gan.augment.geometry import SYM6, inverse_transform, warp
from mura_jobs.gan.augment.pipeline import augment
from mura_jobs.gan.augment.presets import Pipe, pipe_of

CPU = torch.device("cpu")
MANY = 20_000


def draws(count: int, seed: int = 0, rows: slice | None = None) -> Draws:
    return Draws(count, rows or slice(0, count), torch.Generator().manual_seed(seed), CPU)


def geometry(pipe: Pipe, p: float = 1.0, count: int = MANY, width: int = 32) -> Tensor:
    return inverse_transform(pipe, torch.tensor(p), draws(count), width)


def share(hit: Tensor) -> float:
    return hit.float().mean().item()


def test_the_filter_is_the_orthonormal_wavelet_with_six_vanishing_moments() -> None:
    """Which, at this length, only Daubechies' family satisfies; sym6 is its least asymmetric member."""
    taps = np.array(SYM6)
    assert taps.sum() == pytest.approx(sqrt(2), abs=1e-9)
    for shift in range(6):
        overlap = (taps[: len(taps) - 2 * shift] * taps[2 * shift :]).sum()
        assert overlap == pytest.approx(1.0 if shift == 0 else 0.0, abs=1e-9)
    places = np.arange(12) - 5.5
    alternating = taps * (-1.0) ** np.arange(12)
    for moment in range(6):
        assert (alternating * places**moment).sum() == pytest.approx(0, abs=1e-6 * 5.5**moment)


def test_nothing_happens_at_p_zero() -> None:
    images = torch.rand(8, 1, 16, 16)
    assert torch.equal(augment(images, pipe_of("bgc", 1), torch.tensor(0.0), draws(8)), images)


def test_warping_by_the_identity_changes_nothing_inside() -> None:
    images = torch.rand(2, 1, 64, 64, dtype=torch.float64)
    same = warp(images, torch.eye(3).expand(2, 3, 3))
    torch.testing.assert_close(same[:, :, 6:-6, 6:-6], images[:, :, 6:-6, 6:-6], rtol=0, atol=1e-9)


def smooth(side: int = 64) -> Tensor:
    """An image without detail near the limit of resolution, (1, 1, side, side)."""
    axis = (torch.arange(side, dtype=torch.float64) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    image = torch.exp(-((x - 0.3) ** 2 + (y + 0.2) ** 2) * 6) - 0.5 * torch.exp(-((x + 0.4) ** 2 + y**2) * 9)
    return image[None, None]


@pytest.mark.parametrize(
    ("matrix", "moved"),
    [
        ([[-1, 0, 0], [0, 1, 0], [0, 0, 1]], lambda x: x.flip(3)),
        ([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], lambda x: x.rot90(-1, (2, 3))),
        ([[1, 0, -8 / 32], [0, 1, 4 / 32], [0, 0, 1]], lambda x: x.roll((-4, 8), (2, 3))),
    ],
    ids=["flip", "quarter turn", "shift"],
)
def test_warping_moves_pixels_where_the_matrix_says(matrix: list[list[float]], moved: object) -> None:
    assert callable(moved)
    image = smooth()
    found = warp(image, torch.tensor([matrix], dtype=torch.float64))
    torch.testing.assert_close(
        found[:, :, 10:-10, 10:-10], moved(image)[:, :, 10:-10, 10:-10], rtol=0, atol=2e-3
    )


def test_an_image_goes_on_mirrored_beyond_its_edge() -> None:
    image = smooth(32)
    shifted = warp(image, torch.tensor([[[1.0, 0, 1.0], [0, 1, 0], [0, 0, 1]]]))
    # the right half of the result lies beyond the right edge; the seam is true to a part of a pixel
    torch.testing.assert_close(
        shifted[..., 16:][..., 3:-3], image[..., 16:].flip(3)[..., 3:-3], rtol=0, atol=0.06
    )


def test_warp_derivatives_agree_with_finite_differences() -> None:
    images = torch.rand(2, 1, 8, 8, dtype=torch.float64).requires_grad_()
    matrices = geometry(pipe_of("bg", 1), count=2, width=8)
    assert gradcheck(lambda x: warp(x, matrices) ** 2, images)
    assert gradgradcheck(lambda x: warp(x, matrices) ** 2, images)


def test_augmenting_is_linear_so_that_gradients_reach_the_generator() -> None:
    pipe, p = pipe_of("bgc", 3), torch.tensor(0.6)
    images = torch.rand(6, 3, 16, 16, dtype=torch.float64).requires_grad_()
    assert gradgradcheck(lambda x: augment(x, pipe, p, draws(6)) ** 2, images, fast_mode=True)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_each_operation_hits_with_its_probability(p: float) -> None:
    eye = torch.eye(3)
    for name, chance in (
        ("flip", p / 2),
        ("rotate90", p * 3 / 4),
        ("scale", p),
        ("rotate", p),
        ("stretch", p),
        ("fractional_shift", p),
    ):
        hit = (geometry(Pipe(**{name: True}), p) != eye).flatten(1).any(1)
        assert share(hit) == pytest.approx(chance, abs=0.015), name
    for name, chance in (
        ("brightness", p),
        ("contrast", p),
        ("luma_flip", p / 2),
        ("hue", p),
        ("saturation", p),
    ):
        matrices = colour_transform(Pipe(**{name: True}), torch.tensor(p), draws(MANY))
        hit = ((matrices - torch.eye(4)).abs() > 1e-6).flatten(1).any(1)
        assert share(hit) == pytest.approx(chance, abs=0.015), name


def test_geometric_strengths_are_the_papers() -> None:
    """Standard deviations of ADA, appendix B.2, at p = 1."""
    log_scale = -geometry(Pipe(scale=True))[:, 0, 0].log2()
    assert log_scale.mean().item() == pytest.approx(0, abs=0.005)
    assert log_scale.std().item() == pytest.approx(0.2, rel=0.02)
    stretched = geometry(Pipe(stretch=True))
    torch.testing.assert_close(stretched[:, 0, 0] * stretched[:, 1, 1], torch.ones(MANY))
    assert stretched[:, 0, 0].log2().std().item() == pytest.approx(0.2, rel=0.02)
    # in this system the image is two wide
    moved = geometry(Pipe(fractional_shift=True))[:, :2, 2] / 2
    assert moved.std().item() == pytest.approx(0.125, rel=0.02)
    pixels = geometry(Pipe(shift=True), width=32)[:, :2, 2] * 16
    torch.testing.assert_close(pixels, pixels.round())
    assert set(torch.unique(pixels).tolist()) == set(range(-4, 5))


def test_rotations_are_uniform_up_to_their_limit() -> None:
    # with p small hardly an image is turned twice
    for degrees in (180.0, 10.0):
        turned = geometry(Pipe(rotate=True, rotate_degrees=degrees), p=0.05)
        angle = torch.atan2(turned[:, 0, 1], turned[:, 0, 0])
        angle = angle[angle != 0]
        limit = degrees * pi / 180
        once = angle[angle.abs() <= limit]
        assert len(once) > 0.97 * len(angle)
        assert once.abs().max().item() == pytest.approx(limit, rel=0.01)
        assert once.std().item() == pytest.approx(limit / sqrt(3), rel=0.08)


def test_radiographs_are_never_turned_over() -> None:
    """At most two rotations by 10°, no mirror image, no negative: a side marker stays readable."""
    pipe = pipe_of("radiograph", 1)
    matrices = geometry(pipe)
    assert (torch.linalg.det(matrices[:, :2, :2]) > 0).all()
    turned = geometry(Pipe(rotate=True, rotate_degrees=pipe.rotate_degrees))
    assert torch.atan2(turned[:, 0, 1], turned[:, 0, 0]).abs().max().item() <= 20 * pi / 180 + 1e-6
    contrast = colour_transform(pipe, torch.tensor(1.0), draws(MANY))[:, 0, 0]
    assert (contrast > 0).all()


def test_colour_strengths_are_the_papers() -> None:
    """Standard deviations of ADA, appendix B.3, at p = 1, on one channel."""
    one = torch.tensor(1.0)
    black, white = torch.zeros(MANY, 1, 1, 1), torch.ones(MANY, 1, 1, 1)
    brighter = recolour(black, colour_transform(Pipe(brightness=True), one, draws(MANY)))
    assert brighter.std().item() == pytest.approx(0.2, rel=0.02)
    contrasted = recolour(white, colour_transform(Pipe(contrast=True), one, draws(MANY)))
    assert contrasted.log2().std().item() == pytest.approx(0.5, rel=0.02)
    flipped = recolour(white, colour_transform(Pipe(luma_flip=True), one, draws(MANY)))
    assert flipped.mean().item() == pytest.approx(0, abs=0.03)
    torch.testing.assert_close(flipped.abs(), white)


def test_hue_and_saturation_keep_grey_images() -> None:
    pipe = Pipe(hue=True, saturation=True)
    matrices = colour_transform(pipe, torch.tensor(1.0), draws(16))
    for channels in (1, 3):
        grey = torch.rand(16, 1, 4, 4).expand(-1, channels, -1, -1)
        torch.testing.assert_close(recolour(grey, matrices), grey.contiguous(), rtol=1e-4, atol=1e-5)


def test_a_hue_rotation_keeps_brightness_and_strength_of_colour() -> None:
    rgb = torch.rand(16, 3, 4, 4)
    turned = recolour(rgb, colour_transform(Pipe(hue=True), torch.tensor(1.0), draws(16)))
    torch.testing.assert_close(turned.mean(1), rgb.mean(1))
    torch.testing.assert_close(turned.norm(dim=1), rgb.norm(dim=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("p", [0.2, 1.0])
def test_processes_that_share_a_batch_draw_what_one_would(p: float) -> None:
    images = torch.rand(6, 1, 16, 16)
    pipe, chance = pipe_of("bgc", 1), torch.tensor(p)
    whole = augment(images, pipe, chance, draws(6))
    parts = [
        augment(images[rows], pipe, chance, draws(6, rows=rows))
        for rows in (slice(0, 2), slice(2, 4), slice(4, 6))
    ]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-4, atol=1e-5)
