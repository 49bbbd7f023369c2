from typing import Any

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from numpy.typing import NDArray
import pytest

from mura_jobs.radiographs.cleaning.field import Field, find_field
from mura_jobs.radiographs.config import PhantomConfig
from mura_jobs.radiographs.decode import Grey
from tests.radiographs.drawing import phantoms


def overlap(first: NDArray[Any], second: NDArray[Any], shape: tuple[int, ...]) -> float:
    """Intersection over union of two convex outlines within a picture."""
    height, width = shape
    frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    a, b = (cv2.intersectConvexConvex(c.astype(np.float32), frame)[1] for c in (first, second))
    common = cv2.intersectConvexConvex(a, b)[0]
    return float(common / (cv2.contourArea(a) + cv2.contourArea(b) - common))


def textured(shape: tuple[int, int], seed: int = 0) -> Grey:
    """Something like anatomy: smooth blobs between 0.3 and 0.7."""
    noise = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 12)
    return np.asarray(0.5 + 0.2 * np.clip(smooth / (2 * smooth.std()), -1, 1), np.float32)


def framed(field: Field, shape: tuple[int, int], surround: float) -> Grey:
    """Texture within a field, and an even surround."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(mask, np.round(field.corners() * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    share = mask.astype(np.float32) / 255
    return np.asarray(textured(shape) * share + surround * (1 - share), np.float32)


@settings(max_examples=20, deadline=None)
@given(
    rotation=st.one_of(st.just(0.0), st.floats(2, 25), st.floats(-25, -2)),
    width=st.integers(200, 300),
    height=st.integers(200, 300),
    surround=st.sampled_from([0.0, 0.05, 1.0]),
)
def test_a_field_in_an_even_surround_is_found(
    rotation: float, width: int, height: int, surround: float
) -> None:
    """Every corner to within 1.5 % of the picture's side, the angle to half a degree."""
    placed = Field(250, 240, width, height, rotation, 1.0)
    found = find_field(framed(placed, (480, 500), surround), straighten=True)
    assert np.abs(found.corners() - placed.corners()).max() < 0.015 * 500
    assert found.rotation == pytest.approx(rotation, abs=0.5)


@pytest.mark.parametrize("shape", [(300, 512), (512, 89), (64, 64)])
def test_without_an_edge_nothing_is_cut(shape: tuple[int, int]) -> None:
    assert find_field(textured(shape), straighten=True) == Field.whole(shape)
    assert find_field(np.full(shape, 0.4, np.float32), straighten=True) == Field.whole(shape)


def test_straightening_can_be_switched_off() -> None:
    picture = framed(Field(250, 240, 260, 260, 12.0, 1.0), (480, 500), 0.0)
    assert find_field(picture, straighten=False).rotation == 0


def test_cutting_a_turned_field_gives_it_back_upright() -> None:
    """Texture laid down turned and cut out again is the same texture, up to interpolation."""
    texture = textured((200, 260))
    field = Field(250.0, 240.0, 260.0, 200.0, 17.0, 1.0)
    angle = np.deg2rad(17)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    start = np.array([250, 240]) - turn @ (130, 100)
    matrix = np.column_stack([turn, start + turn @ (0.5, 0.5) - 0.5])
    laid = cv2.warpAffine(texture, matrix, (500, 480), flags=cv2.INTER_LINEAR)
    cut = field.cut_from(np.asarray(laid, np.float32))
    assert cut.shape == texture.shape
    assert np.abs(cut - texture)[3:-3, 3:-3].max() < 0.02


def test_an_upright_field_is_cut_without_interpolation() -> None:
    picture = textured((100, 120))
    np.testing.assert_array_equal(Field(60, 50, 40, 20, 0.0, 1.0).cut_from(picture), picture[40:60, 40:80])


def test_fields_of_phantoms_are_found() -> None:
    """Median overlap with the truth above 0.95 and median error of rotation below 1°; full frames stay."""
    full, overlaps, errors = [], [], []
    for picture, truth in phantoms(PhantomConfig(long_side=192, seed=21), 120):
        found = find_field(picture, straighten=True)
        share = overlap(found.corners(), np.array(truth.field).reshape(4, 2), picture.shape)
        if truth.framing == "full":
            full.append(share)
        else:
            overlaps.append(share)
        if truth.rotation != 0:
            errors.append(abs(found.rotation - truth.rotation))
    assert np.mean(full) > 0.99
    assert np.median(overlaps) > 0.95
    assert np.median(errors) < 1
