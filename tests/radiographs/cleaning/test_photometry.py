import numpy as np
import pytest

from mura_jobs.radiographs.cleaning.field import find_field
from mura_jobs.radiographs.cleaning.photometry import _signs, confidence, inversion_odds
from mura_jobs.radiographs.config import PhantomConfig
from tests.radiographs.drawing import phantoms


def test_a_negative_has_the_opposite_signs() -> None:
    for picture, _ in phantoms(PhantomConfig(long_side=128, seed=9), 12):
        np.testing.assert_allclose(_signs(1 - picture), -_signs(picture), atol=0.02)


def test_brightness_and_contrast_do_not_count() -> None:
    for picture, _ in phantoms(PhantomConfig(long_side=128, seed=9, flaws=0.0), 6):
        faint = np.asarray(0.3 + 0.25 * picture, np.float32)
        assert inversion_odds(faint) == pytest.approx(inversion_odds(picture), abs=0.1)


def test_inverted_phantoms_are_told_from_others() -> None:
    """At least 98 % right at MURA's frequency of inversion."""
    right = []
    for picture, truth in phantoms(PhantomConfig(long_side=128, seed=31), 150):
        field = find_field(picture, straighten=True).cut_from(picture)
        right.append((inversion_odds(field) > 0) == truth.inverted)
    assert np.mean(right) >= 0.98


def test_confidence_is_the_likelier_answers_probability() -> None:
    assert confidence(0.0) == 0.5
    assert confidence(np.log(9)) == pytest.approx(0.9)
    assert confidence(-np.log(9)) == pytest.approx(0.9)
