from hypothesis import given
from hypothesis import strategies as st
import numpy as np

from mura_jobs.radiographs.cleaning.exposure import apply_window, bright_objects, equalise, window
from mura_jobs.radiographs.config import PhantomConfig
from tests.radiographs.drawing import phantoms

PICTURE = phantoms(PhantomConfig(long_side=128, seed=2, flaws=0.0), 1)[0][0]


def windowed(picture: np.ndarray) -> np.ndarray:
    return apply_window(picture, *window(picture, 0.5, 99.5))


@given(st.floats(0.3, 1.0), st.floats(0.0, 0.3))
def test_contrast_and_brightness_are_undone(contrast: float, brightness: float) -> None:
    """Whatever linear change an exposure makes, the windowed picture is the same."""
    changed = np.asarray(contrast * 0.7 * PICTURE + brightness, np.float32)
    assert np.abs(windowed(changed) - windowed(PICTURE)).max() < 0.03


def test_a_marker_does_not_darken_the_anatomy() -> None:
    """A burnt-in white letter changes the window by less than a grey level of the anatomy's."""
    marked = PICTURE.copy()
    marked[8:20, 8:14] = 1.0
    assert bright_objects(marked)[10:18, 9:13].all()
    plain, with_marker = windowed(PICTURE), windowed(marked)
    away = np.ones(PICTURE.shape, bool)
    away[:24, :20] = False
    assert np.abs(plain - with_marker)[away].max() < 0.02


def test_most_of_the_range_is_used() -> None:
    for picture, _ in phantoms(PhantomConfig(long_side=128, seed=4), 20):
        result = windowed(picture)
        assert result.min() == 0
        assert result.max() == 1


def test_a_flat_picture_stays_flat() -> None:
    assert windowed(np.full((40, 30), 0.5, np.float32)).std() == 0


def test_equalisation_lifts_faint_contrast_and_none_changes_nothing() -> None:
    rows = np.arange(256) // 4 % 2
    faint = np.asarray(0.2 + 0.02 * np.tile(rows, (256, 1)), np.float32)
    np.testing.assert_array_equal(equalise(faint, 0), faint)
    lifted = equalise(faint, 4.0)
    assert np.ptp(lifted) > 1.5 * np.ptp(faint)
    assert 0 <= lifted.min() <= lifted.max() <= 1
