from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from mura_jobs.radiographs.phantom.geometry import (
    Affine,
    Grid,
    about,
    chord,
    depth_under,
    ellipse,
    rotation,
    spline,
    thicker,
    tube,
)

UNIT = Grid(Affine(np.eye(2) * 4, np.array([200.0, 200])), (400, 400))
"""4 pixels a millimetre, the origin in the middle."""

WHOLE = (slice(0, 400), slice(0, 400))


def test_the_chords_of_a_disc_hold_a_balls_volume() -> None:
    """A round outline with its own radius as half thickness is a ball: 4/3 π r³."""
    radius = 30.0
    depth = depth_under(UNIT.fill(ellipse((0, 0), (radius, radius)), WHOLE), 4.0)
    assert chord(depth, radius).sum() / 16 == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)


def test_no_ray_is_longer_than_the_solid_is_thick() -> None:
    depth = np.linspace(-5, 50, 100, dtype=np.float32)
    path = chord(depth, 12.0)
    assert path.max() == pytest.approx(24)
    assert (path[depth <= 0] == 0).all()
    assert (np.diff(path) >= 0).all()


@pytest.mark.parametrize("closed", [True, False])
def test_a_spline_passes_through_its_knots(closed: bool) -> None:
    knots = np.array([(0, 0), (10, 3), (14, 12), (2, 15.0)])
    curve = spline(knots, closed=closed, per_segment=4)
    np.testing.assert_allclose(curve[::4][: len(knots)], knots, atol=1e-9)


def test_a_tube_is_as_wide_as_asked() -> None:
    outline = tube(np.array([(0, 0), (0, 20), (0, 40.0)]), np.array([8.0, 8.0]))
    assert np.ptp(outline[:, 0]) == pytest.approx(8)


@given(st.floats(-15, 15))
def test_a_thicker_circle_has_a_larger_radius(millimetres: float) -> None:
    for outline in (ellipse((0, 0), (20, 20)), ellipse((0, 0), (20, 20))[::-1]):
        radii = np.linalg.norm(thicker(outline, millimetres), axis=1)
        np.testing.assert_allclose(radii, 20 + millimetres, atol=1e-6)


@given(st.floats(-180, 180), st.floats(-50, 50))
def test_an_affine_map_and_its_inverse_cancel(degrees: float, shift: float) -> None:
    motion = about(np.array([3.0, -7]), degrees, np.array([shift, 2 * shift]))
    points = np.array([(0, 0), (5, 8), (-20, 4.0)])
    np.testing.assert_allclose((motion.inverse @ motion)(points), points, atol=1e-9)
    assert motion.scale == pytest.approx(1)


def test_positive_rotation_is_clockwise_on_the_screen() -> None:
    """A step to the right turns into a step down."""
    np.testing.assert_allclose(rotation(90) @ (1, 0), (0, 1), atol=1e-12)


def test_positions_along_an_axis_are_millimetres() -> None:
    along = UNIT.along(np.array([0.0, 0]), np.array([0.0, 1]), WHOLE)
    assert along[200, 10] == pytest.approx(0)
    assert along[240, 300] == pytest.approx(10)


def test_an_outline_outside_the_picture_has_no_window() -> None:
    assert UNIT.window(ellipse((500, 0), (10, 10))) is None
