"""Copies are found, whatever was done to them, and different pictures are told apart."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from mura_jobs.radiographs.cleaning.clean import clean
from mura_jobs.radiographs.config import CleaningConfig, PhantomConfig
from mura_jobs.radiographs.decode import Grey
from mura_jobs.radiographs.duplicates import (
    SAME,
    SIMILAR,
    Sketches,
    candidates,
    detail_correlation,
    hashes,
    variant_of,
    words_of,
)
from mura_jobs.radiographs.leaks import drop_duplicates, find_duplicates
from mura_jobs.radiographs.sketch import SIDE, sketch
from tests.radiographs.drawing import phantoms

PHANTOMS = 24


def sketched(grey: Grey) -> Sketches:
    contiguous = np.ascontiguousarray(grey, np.float32)
    _, record = clean(contiguous, SIDE, CleaningConfig())
    return sketch(contiguous, record, turn=record.inverted)


@pytest.fixture(scope="module")
def pictures() -> list[Grey]:
    return [grey for grey, _ in phantoms(PhantomConfig(long_side=256, seed=8), PHANTOMS)]


@pytest.fixture(scope="module")
def originals(pictures: list[Grey]) -> Sketches:
    return np.stack([sketched(grey) for grey in pictures])


def jpeg(grey: Grey, quality: int) -> Grey:
    _, data = cv2.imencode(".jpg", np.round(grey * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert decoded is not None
    return np.asarray(decoded / 255, np.float32)


def smaller(grey: Grey) -> Grey:
    return np.asarray(cv2.resize(grey, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), np.float32)


def cropped(grey: Grey, share: float) -> Grey:
    height, width = grey.shape
    return grey[round(share * height) : height - round(share * height / 2), round(share * width / 2) :]


COPIES: dict[str, Callable[[Grey], Grey]] = {
    "itself": lambda grey: grey,
    "smaller": smaller,
    "brighter": lambda grey: np.clip(grey * 1.15, 0, 1),
    "of another gamma": lambda grey: grey**0.8,
    "inverted": lambda grey: 1 - grey,
    "mirrored": lambda grey: grey[:, ::-1],
    "upside down": lambda grey: grey[::-1],
    "turned by a quarter": np.rot90,
    "saved as JPEG": lambda grey: jpeg(grey, 50),
    "cropped": lambda grey: cropped(grey, 0.03),
    "all at once": lambda grey: jpeg(1 - cropped(grey, 0.02)[:, ::-1] * 0.9, 70),
}


@pytest.mark.parametrize("name", COPIES)
def test_nearly_all_copies_are_found(pictures: list[Grey], originals: Sketches, name: str) -> None:
    """Of 24 phantoms with frames, markers and odd exposures, at most two copies go unnoticed."""
    copies = np.stack([sketched(COPIES[name](grey)) for grey in pictures])
    both = np.concatenate([originals, copies])
    groups = np.arange(len(both))
    found = 0
    for first, second, number in candidates(hashes(both), groups).tolist():
        if second == first + PHANTOMS:
            found += detail_correlation(both[first], variant_of(both[second], number)) >= SAME
    assert found >= PHANTOMS - 2


def test_different_pictures_are_no_copies(originals: Sketches) -> None:
    for first, second, number in candidates(hashes(originals), np.arange(PHANTOMS)).tolist():
        assert detail_correlation(originals[first], variant_of(originals[second], number)) < SAME


@pytest.mark.parametrize("number", range(16))
def test_a_variants_hash_is_known_without_making_it(originals: Sketches, number: int) -> None:
    """Each of the 16 is found with similarity 1, as the variant that it is."""
    pair = np.stack([originals[3], variant_of(originals[3], number)])
    ((first, second, found),) = candidates(hashes(pair), np.arange(2)).tolist()
    assert (first, second) == (0, 1)
    np.testing.assert_array_equal(variant_of(pair[1], found), pair[0])
    assert detail_correlation(pair[0], variant_of(pair[1], found)) > 0.999


def test_words_name_the_variant() -> None:
    assert words_of(0) == "as it is"
    assert words_of(3) == "mirrored, inverted"
    assert words_of(12) == "transposed, upside down"


def test_candidates_are_those_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against every pair one by one; the size of the blocks changes nothing."""
    rng = np.random.default_rng(0)
    bases = rng.integers(0, 255, (30, 4, 4)).astype(np.float32)
    noisy = np.repeat(bases, 2, 0) + rng.normal(0, 12, (60, 4, 4))
    drawn = np.stack([cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for p in noisy])
    pictures = np.clip(drawn, 0, 255).astype(np.uint8)
    hashed, groups = hashes(pictures), np.arange(60) // 3
    expected = set()
    for first, second in combinations(range(60), 2):
        variants = hashes(np.stack([variant_of(pictures[second], number) for number in range(16)]))
        if groups[first] != groups[second] and (variants * hashed[first]).sum(axis=(1, 2)).max() >= SIMILAR:
            expected.add((first, second))
    assert len(expected) == 10
    for rows, columns in ((512, 4096), (7, 11)):
        monkeypatch.setattr("mura_jobs.radiographs.duplicates._ROWS", rows)
        monkeypatch.setattr("mura_jobs.radiographs.duplicates._COLUMNS", columns)
        found = candidates(hashed, groups)
        assert {(first, second) for first, second, _ in found.tolist()} == expected
        assert sorted(found.tolist()) == found.tolist()


def test_pictures_of_one_grey_are_like_nothing() -> None:
    even = np.stack([np.full((SIDE, SIDE), value, np.uint8) for value in (0, 7, 255)])
    assert len(candidates(hashes(even), np.arange(3))) == 0


def index_of(rows: list[tuple[str, str]]) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "key": [f"{number:02d}.png" for number in range(len(rows))],
        "patient": [patient for patient, _ in rows],
        "split": [split for _, split in rows],
        "label": ["positive", "negative"] * (len(rows) // 2) + ["positive"] * (len(rows) % 2),
    }
    return pd.DataFrame(columns)


def test_only_pairs_across_patients_or_splits_are_listed(originals: Sketches) -> None:
    index = index_of([("a", "train"), ("a", "train"), ("b", "train"), ("b", "select"), ("c", "test")])
    pairs = find_duplicates(index, [originals[0]] * 5)
    listed = set(zip(pairs["key"], pairs["other_key"], strict=True))
    every = set(combinations(index["key"], 2))
    assert listed == every - {("00.png", "01.png")}
    assert (pairs["detail"] > 0.99).all()
    assert (pairs["distance"] < 0.01).all()
    assert (pairs["dropped"] == "").all()


@pytest.mark.parametrize(
    ("splits", "dropped"),
    [
        (("train", "test"), {"00.png"}),
        (("test", "train"), {"01.png"}),
        (("select", "test"), {"00.png"}),
        (("select", "train"), {"01.png"}),
        (("train", "train"), {"01.png"}),
        (("test", "test"), set()),
        (("select", "select"), set()),
        (("train", "train", "train"), {"01.png", "02.png"}),
        (("train", "train", "test"), {"00.png", "01.png"}),
        (("train", "select", "test"), {"00.png", "01.png"}),
    ],
)
def test_training_loses_its_copy_and_test_none(
    originals: Sketches, splits: tuple[str, ...], dropped: set[str]
) -> None:
    index = index_of([(f"p{number}", split) for number, split in enumerate(splits)])
    pairs = drop_duplicates(find_duplicates(index, [originals[1]] * len(splits)))
    assert set(pairs["dropped"]) - {""} == dropped
