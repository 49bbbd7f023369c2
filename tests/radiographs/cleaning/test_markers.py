from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from mura_jobs.radiographs.cleaning.clean import clean
from mura_jobs.radiographs.cleaning.markers import Markers, find_markers, remove
from mura_jobs.radiographs.config import CleaningConfig, PhantomConfig
from mura_jobs.radiographs.decode import Grey
from tests.radiographs.drawing import phantoms

PLAIN = [
    picture
    for picture, _ in phantoms(PhantomConfig(long_side=320, seed=12, flaws=0.0, positive_fraction=0.01), 8)
]


def written(
    picture: Grey, text: str, at: tuple[int, int], ink: float = 1.0
) -> tuple[Grey, NDArray[np.bool_]]:
    """A picture with letters written into it, and where."""
    stamp = np.zeros(picture.shape, np.uint8)
    cv2.putText(stamp, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2, cv2.LINE_AA)
    share = stamp / np.float32(255)
    return np.asarray(picture * (1 - share) + ink * share, np.float32), stamp > 127


def box_of(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    y, x = np.nonzero(mask)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])


@pytest.mark.parametrize("text", ["R", "L", "R AB", "LEFT"])
@pytest.mark.parametrize("ink", [0.7, 1.0])
def test_letters_on_a_smooth_ground_are_found(text: str, ink: float) -> None:
    """One box, to within 3 pixels, and hardly any doubt."""
    y, x = np.indices((300, 320), np.float32)
    picture, mask = written(np.asarray(0.3 * np.hypot(y / 300, x / 320), np.float32), text, (40, 60), ink)
    found = find_markers(picture, 0.0, 0.5)
    assert len(found.boxes) == 1
    assert np.abs(np.array(found.boxes[0]) - box_of(mask)).max() <= 3
    assert found.confidence > 0.8
    assert found.ink[mask].mean() > 0.95


def test_a_letter_cut_off_by_the_edge_is_found() -> None:
    picture, _ = written(np.full((300, 320), 0.1, np.float32), "RB", (150, 8))
    (box,) = find_markers(picture, 0.0, 0.5).boxes
    assert box[1] == 0
    assert box[3] <= 12


def test_anatomy_is_no_marker() -> None:
    for picture in PLAIN:
        assert not find_markers(picture, 0.0, float(picture.max())).boxes


@pytest.mark.parametrize("angle", [0, 35, 90])
def test_a_wire_in_bone_is_no_marker(angle: int) -> None:
    for picture in PLAIN:
        wire = np.zeros(picture.shape, np.uint8)
        y, x = np.unravel_index(int(cv2.GaussianBlur(picture, (0, 0), 5).argmax()), picture.shape)
        reach = 30 * np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
        start, end = ((int(x + s * reach[0]), int(y + s * reach[1])) for s in (-1, 1))
        cv2.line(wire, start, end, 255, 3, cv2.LINE_AA)
        share = wire / np.float32(255)
        with_wire = np.asarray(picture * (1 - share) + share, np.float32)
        assert not find_markers(with_wire, 0.0, float(picture.max())).boxes


def test_an_empty_picture_has_none() -> None:
    found = find_markers(np.full((200, 100), 0.5, np.float32), 0.4, 0.6)
    assert (found.boxes, found.confidence) == ((), 1.0)


@pytest.mark.parametrize("rule", ["keep", "mask", "inpaint"])
def test_what_is_no_marker_stays(rule: Literal["keep", "mask", "inpaint"]) -> None:
    """Away from the boxes no rule changes a pixel; `keep` changes none at all."""
    picture, _ = written(PLAIN[0] * np.float32(0.6), "R", (20, 40))
    found = find_markers(picture, 0.0, 0.6)
    changed = remove(picture, found, rule) != picture
    assert changed.any() == (rule != "keep")
    for left, top, right, bottom in found.boxes:
        changed[max(int(top) - 6, 0) : int(bottom) + 6, max(int(left) - 6, 0) : int(right) + 6] = False
    assert not changed.any()


def test_inpainting_gives_back_a_smooth_ground() -> None:
    y, x = np.indices((300, 320), np.float32)
    ground = np.asarray(0.1 + 0.2 * y / 300 + 0.1 * x / 320, np.float32)
    picture, _ = written(ground, "R AB", (60, 90))
    clean_ground = remove(picture, find_markers(picture, 0.0, 0.5), "inpaint")
    assert np.abs(clean_ground - ground).max() < 0.03


def test_masking_leaves_no_letter_to_be_read() -> None:
    """Two letters on the same ground end as the same picture within their boxes: even black."""
    picture, mask = written(np.full((300, 320), 0.2, np.float32), "R", (60, 90))
    masked = remove(picture, find_markers(picture, 0.0, 0.5), "mask")
    left, top, right, bottom = box_of(mask)
    assert np.ptp(masked[top:bottom, left:right]) == 0


def test_boxes_are_recorded_where_they_lie_in_the_raw_picture() -> None:
    """Also where the field lies turned in the frame."""
    picture, mask = written(np.asarray(0.2 + 0.5 * PLAIN[1], np.float32), "RT", (24, 60))
    turn = cv2.getRotationMatrix2D((picture.shape[1] / 2, picture.shape[0] / 2), -10, 1)
    turn[:, 2] += 60
    size = (picture.shape[1] + 120, picture.shape[0] + 120)
    turned, ink = (
        np.asarray(cv2.warpAffine(a.astype(np.float32), turn, size), np.float32) for a in (picture, mask)
    )
    _, record = clean(turned, 64, CleaningConfig())
    boxes = [np.array([int(v) for v in box.split()]) for box in record.marker_boxes.split("; ")]
    assert record.markers == len(boxes) == 1
    assert np.abs(boxes[0] - box_of(ink > 0.5)).max() < 10


def test_nothing_found_is_nothing_removed() -> None:
    picture = PLAIN[0]
    assert remove(picture, Markers.none(picture.shape), "inpaint") is picture
