from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from PIL import Image, ImageEnhance
import pytest

from mura_jobs.radiographs.cleaning.shape import Rule, quantise, resize, sharpen, to_square

RULES: tuple[Rule, ...] = ("pad", "crop", "stretch")


@given(st.integers(8, 200), st.integers(8, 200), st.sampled_from(RULES), st.sampled_from([16, 33, 128]))
def test_the_result_is_square_and_stays_in_range(height: int, width: int, rule: Rule, side: int) -> None:
    square = to_square(np.random.default_rng(0).random((height, width), np.float32), side, rule)
    assert square.shape == (side, side)
    assert square.min() >= 0
    assert square.max() <= 1


@pytest.mark.parametrize("rule", ["crop", "stretch"])
def test_an_even_picture_stays_even(rule: Rule) -> None:
    np.testing.assert_allclose(to_square(np.full((50, 90), 0.25, np.float32), 32, rule), 0.25, atol=1e-6)


def test_padding_keeps_the_aspect_and_centres() -> None:
    square = to_square(np.ones((50, 100), np.float32), 64, "pad")
    np.testing.assert_allclose(square[16:48], 1, atol=1e-6)
    assert square[:16].sum() == square[48:].sum() == 0


def test_cropping_keeps_the_middle() -> None:
    picture = np.zeros((30, 90), np.float32)
    picture[:, 30:60] = 1
    np.testing.assert_array_equal(to_square(picture, 30, "crop"), 1)


def test_shrinking_does_not_alias() -> None:
    """The finest checkerboard becomes its mean."""
    board = (np.indices((256, 256)).sum(axis=0) % 2).astype(np.float32)
    np.testing.assert_allclose(resize(board, (32, 32)), 0.5, atol=1e-6)


def test_sharpness_one_changes_nothing_and_two_is_pillows() -> None:
    pixels = quantise(np.random.default_rng(1).random((40, 40), np.float32))
    np.testing.assert_array_equal(sharpen(pixels, 1.0), pixels)
    expected = np.asarray(ImageEnhance.Sharpness(Image.fromarray(pixels)).enhance(2.0))
    np.testing.assert_array_equal(sharpen(pixels, 2.0), expected)
