from io import BytesIO
from itertools import permutations

import numpy as np
from PIL import Image
import pytest

from mura_jobs.radiographs.preview import CELL, PAIRS, Doubtful, preview, thumbnail


def even(grey: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((CELL, CELL), grey, np.uint8)


def test_the_least_certain_are_kept_in_whatever_order_they_come() -> None:
    offers = [(f"key{n:03d}", (n * 37 % 101) / 101) for n in range(3 * PAIRS)]
    expected = [key for key, _ in sorted(offers, key=lambda offer: (offer[1], offer[0]))[:PAIRS]]
    for order in (offers, offers[::-1]):
        kept = Doubtful()
        for key, confidence in order:
            kept.offer(key, confidence, even(0))
        assert list(kept.thumbnails()) == expected


def test_equal_confidence_goes_by_key() -> None:
    for order in permutations(["a", "b", "c"]):
        kept = Doubtful()
        for key in order:
            kept.offer(key, 0.5, even(0))
        assert list(kept.thumbnails()) == ["a", "b", "c"]


@pytest.mark.parametrize("shape", [(30, 400), (400, 30), (8, 8), (1955, 1841)])
def test_a_thumbnail_keeps_the_aspect(shape: tuple[int, int]) -> None:
    cell = thumbnail(np.ones(shape, np.float32))
    rows, columns = np.nonzero(cell == 255)
    size = np.array([np.ptp(rows) + 1, np.ptp(columns) + 1])
    assert cell.shape == (CELL, CELL)
    assert size.max() == CELL
    np.testing.assert_allclose(size, np.array(shape) * CELL / max(shape), atol=1)


def test_each_raw_picture_stands_left_of_its_cleaned_one() -> None:
    pairs = [(f"{n}", even(10 + n), even(200 + n)) for n in range(8)]
    sheet = np.asarray(Image.open(BytesIO(preview(pairs, [0.2], [0.5]))))
    for number in range(8):
        rows, columns = np.nonzero(sheet == 10 + number)
        beside = sheet[rows, columns + CELL]
        assert len(rows) == CELL * CELL
        assert (beside == 200 + number).all()


def test_without_pictures_there_is_a_sheet_all_the_same() -> None:
    assert Image.open(BytesIO(preview([], [], []))).size[0] > 0


def test_brighter_pictures_move_the_bars() -> None:
    dark, bright = (preview([], np.full(50, value), np.full(50, 0.5)) for value in (0.1, 0.9))
    assert dark != bright
