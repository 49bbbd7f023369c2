import cv2
import numpy as np
import pytest

from mura_jobs.radiographs.cleaning.clean import clean
from mura_jobs.radiographs.cleaning.shape import quantise
from mura_jobs.radiographs.config import CleaningConfig, PhantomConfig
from tests.radiographs.drawing import phantoms

OFF = CleaningConfig(
    invert=False, straighten=False, crop=False, window=False, markers="ignore", square="stretch"
)
DRAWN = phantoms(PhantomConfig(long_side=128, seed=8), 30)


def test_with_every_step_off_only_the_size_changes() -> None:
    for picture, _ in DRAWN[:5]:
        pixels, record = clean(picture, 32, OFF)
        np.testing.assert_array_equal(
            pixels,
            quantise(np.asarray(cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA), np.float32)),
        )
        assert not record.inverted
        assert (record.field_height, record.field_width) == picture.shape
        assert (record.window_black, record.window_white) == (0, 1)


def test_cleaning_is_a_function() -> None:
    """The same picture gives the same result, and is left as it was."""
    for picture, _ in DRAWN[:5]:
        before = picture.copy()
        first, record = clean(picture, 64, CleaningConfig())
        second, same = clean(picture, 64, CleaningConfig())
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(picture, before)
        assert record == same


def test_a_negative_is_cleaned_to_the_same_picture() -> None:
    """Where both are recognised, a picture and its negative end alike, up to what the window excepts."""
    alike = 0
    config = CleaningConfig(crop=False)
    for picture, truth in DRAWN:
        upright = 1 - picture if truth.inverted else picture
        plain, record = clean(upright, 64, config)
        turned, turned_record = clean(np.asarray(1 - upright, np.float32), 64, config)
        if not record.inverted and turned_record.inverted:
            difference = np.abs(plain.astype(int) - turned).max()
            assert difference <= 8
            alike += difference <= 1
    assert alike >= 24


def test_exposure_no_longer_differs() -> None:
    """Dark and bright exposures end with medians of the anatomy far closer than they began."""
    raw, cleaned = [], []
    for picture, truth in phantoms(PhantomConfig(long_side=64, seed=18, positive_fraction=0.01), 60):
        if not truth.inverted and truth.framing == "full":
            pixels, _ = clean(picture, 64, CleaningConfig(square="stretch"))
            raw.append(np.percentile(picture, 90))
            cleaned.append(np.percentile(pixels, 90) / 255)
    assert np.std(cleaned) / np.mean(cleaned) < 0.5 * np.std(raw) / np.mean(raw)


def test_tiny_pictures_keep_their_frame_and_photometry() -> None:
    for picture, _ in DRAWN[:10]:
        tiny = np.asarray(cv2.resize(picture, (28, 28), interpolation=cv2.INTER_AREA), np.float32)
        _, record = clean(tiny, 32, CleaningConfig())
        assert (record.field_width, record.field_height, record.rotation) == (28, 28, 0)
        assert not record.inverted
        assert record.inverted_confidence == 0.5
        assert (record.markers, record.marker_boxes) == (0, "")


def test_confidence_is_the_product_of_the_steps() -> None:
    for picture, _ in DRAWN:
        _, record = clean(picture, 64, CleaningConfig())
        steps = [
            record.field_confidence,
            record.rotation_confidence,
            record.inverted_confidence,
            record.markers_confidence,
            record.window_confidence,
        ]
        assert record.confidence == pytest.approx(np.prod(steps))
        assert all(0 <= step <= 1 for step in steps)


def test_with_steps_off_confidence_is_complete_but_for_photometry() -> None:
    _, record = clean(DRAWN[0][0], 32, OFF)
    assert record.field_confidence == record.rotation_confidence == record.markers_confidence == 1
    assert record.inverted_confidence == 0.5


@pytest.mark.parametrize("offset", [1, 3])
def test_where_a_picture_lies_in_memory_changes_nothing(offset: int) -> None:
    """Vectorised loops begin and end elsewhere; the last bit of nothing that is recorded may show it."""
    for picture, _ in DRAWN[:12]:
        memory = np.empty(picture.size + offset, np.float32)
        memory[offset:] = picture.ravel()
        pixels, record = clean(picture, 64, CleaningConfig())
        elsewhere, same = clean(memory[offset:].reshape(picture.shape), 64, CleaningConfig())
        assert record == same
        np.testing.assert_array_equal(pixels, elsewhere)
