import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from mura_jobs.radiographs.cleaning.field import Field, find_field
from mura_jobs.radiographs.config import PhantomConfig
from mura_jobs.radiographs.decode import Grey
from tests.radiographs.drawing import overlap, phantoms


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
    placed = Field(250, 240, width, height, rotation)
    found = find_field(framed(placed, (480, 500), surround), straighten=True)
    assert np.abs(found.corners() - placed.corners()).max() < 0.015 * 500
    assert found.rotation == pytest.approx(rotation, abs=0.5)


@pytest.mark.parametrize("shape", [(300, 512), (512, 89), (64, 64)])
def test_without_an_edge_nothing_is_cut(shape: tuple[int, int]) -> None:
    for picture in (textured(shape), np.full(shape, 0.4, np.float32)):
        found = find_field(picture, straighten=True)
        assert (found.width, found.height, found.rotation) == (*shape[::-1], 0.0)


def test_straightening_can_be_switched_off() -> None:
    picture = framed(Field(250, 240, 260, 260, 12.0), (480, 500), 0.0)
    assert find_field(picture, straighten=False).rotation == 0


def test_cutting_a_turned_field_gives_it_back_upright() -> None:
    """Texture laid down turned and cut out again is the same texture, up to interpolation."""
    texture = textured((200, 260))
    field = Field(250.0, 240.0, 260.0, 200.0, 17.0)
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
    np.testing.assert_array_equal(Field(60, 50, 40, 20, 0.0).cut_from(picture), picture[40:60, 40:80])


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


def test_a_black_margin_within_a_white_page_is_cut_too() -> None:
    page = np.ones((600, 640), np.float32)
    page[60:540, 70:570] = framed(Field(250, 240, 300, 280, 0.0), (480, 500), 0.0)
    found = find_field(page, straighten=True)
    assert np.abs(found.corners() - Field(320, 300, 300, 280, 0.0).corners()).max() < 10


def test_a_round_field_is_not_turned() -> None:
    y, x = np.indices((400, 440))
    picture = np.where(np.hypot(y - 200, x - 220) < 190, textured((400, 440)), 0).astype(np.float32)
    assert find_field(picture, straighten=True).rotation == 0


def test_confidence_falls_with_the_evidence() -> None:
    """A clear frame is certain; one that noise covers is less so."""
    clear = framed(Field(250, 240, 300, 280, 0.0), (480, 500), 0.0)
    noise = np.random.default_rng(0).normal(0, 0.35, clear.shape)
    covered = np.clip(clear + noise, 0, 1).astype(np.float32)
    certain, doubtful = (find_field(picture, straighten=True).confidence for picture in (clear, covered))
    assert 0.5 <= doubtful < certain <= 1


def test_points_of_a_field_and_its_corners_agree() -> None:
    field = Field(250, 240, 300, 280, 13.0)
    own = np.array([(0, 0), (300, 0), (300, 280), (0, 280)])
    np.testing.assert_allclose(field.to_picture(own), field.corners())


@pytest.mark.parametrize("surround", [0.0, 1.0])
@pytest.mark.parametrize("rotation", [0.0, 8.0])
def test_a_margin_may_be_written_on(surround: float, rotation: float) -> None:
    """A white page with dark writing would otherwise pass for the light ground of an inverted film."""
    placed = Field(280, 280, 380, 360, rotation)
    page = framed(placed, (560, 560), surround)
    ink = np.zeros(page.shape, np.uint8)
    cv2.putText(ink, "HOSPITAL 12.03.04", (60, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2, cv2.LINE_AA)
    cv2.putText(ink, "SN 1234", (380, 545), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2, cv2.LINE_AA)
    share = ink / np.float32(255)
    written = np.asarray(page * (1 - share) + (1 - surround) * share, np.float32)
    found = find_field(written, straighten=True)
    assert overlap(found.corners(), placed.corners(), page.shape) > 0.95
