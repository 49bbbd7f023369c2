from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
import pytest

from mura_jobs.synthetic.gate import Nearest, mirrored, nearest, nearest_earlier, threshold, thumbnails

Images = NDArray[np.uint8]


def pictures(count: int, side: int = 32, seed: int = 0) -> Images:
    """Smooth random pictures, none like another."""
    coarse = np.random.default_rng(seed).normal(128, 40, (count, 8, 8))
    return np.kron(coarse, np.ones((side // 8, side // 8))).clip(0, 255).astype(np.uint8)


def thumbs(images: Images) -> NDArray[np.float32]:
    return thumbnails(images, 32)


def test_distance_is_that_of_the_definition() -> None:
    """Root mean squared difference of standardised images, the smaller of plain and mirrored."""
    first, second = pictures(5), pictures(7, seed=1)

    def standard(image: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.asarray((image - image.mean()) / image.std())

    expected = [
        [
            min(np.sqrt(((standard(a) - standard(b)) ** 2).mean()) for b in (image, image[:, ::-1]))
            for image in second
        ]
        for a in first
    ]
    found = nearest(thumbs(first), thumbs(second))
    np.testing.assert_allclose(found.distance, np.min(expected, axis=1), atol=1e-4)
    np.testing.assert_array_equal(found.row, np.argmin(expected, axis=1))


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image[:, ::-1],
        lambda image: image // 2 + 20,
        lambda image: image[:, ::-1] // 2 + 100,
    ],
    ids=["copy", "mirrored", "darker and flatter", "mirrored and brighter"],
)
def test_a_copy_is_found_whatever_its_exposure(change: Callable[[Images], Images]) -> None:
    trained = pictures(50)
    copy = change(trained[33]).astype(np.uint8)
    found = nearest(thumbs(copy[None]), thumbs(trained))
    assert found.row.tolist() == [33]
    assert found.distance[0] < 0.05
    assert nearest(thumbs(pictures(1, seed=9)), thumbs(trained)).distance[0] > 0.5


def test_each_image_is_compared_with_those_before_it_only() -> None:
    images = pictures(6)
    images[4] = images[1][:, ::-1]
    found = nearest_earlier(thumbs(images))
    assert found.row[0] == -1
    assert np.isinf(found.distance[0])
    assert (found.row[4], found.distance[4]) == (1, 0)
    assert (found.distance[[1, 2, 3, 5]] > 0.5).all()
    assert (found.row < np.arange(6)).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = thumbs(pictures(23)), thumbs(pictures(11, seed=1))
    whole = nearest(first, second), nearest_earlier(first)
    monkeypatch.setattr("mura_jobs.synthetic.gate._BLOCK", 4)
    for before, after in zip(whole, (nearest(first, second), nearest_earlier(first)), strict=True):
        np.testing.assert_array_equal(before.row, after.row)
        np.testing.assert_array_equal(before.distance, after.distance)


def test_images_of_one_grey_are_like_each_other_and_like_nothing_else() -> None:
    blank = np.stack([np.full((32, 32), grey, np.uint8) for grey in (0, 200)])
    assert nearest(thumbs(blank[:1]), thumbs(blank[1:])).distance[0] == 0
    assert nearest(thumbs(blank), thumbs(pictures(20))).distance.min() > 1


def test_mirroring_twice_is_nothing() -> None:
    vectors = thumbs(pictures(3))
    np.testing.assert_array_equal(mirrored(mirrored(vectors)), vectors)
    np.testing.assert_array_equal(mirrored(vectors), thumbs(pictures(3)[:, :, ::-1]))


def test_the_threshold_is_the_quantile_of_the_distances() -> None:
    distances = Nearest(np.zeros(101, np.int64), np.linspace(0, 1, 101, dtype=np.float32))
    assert threshold(distances, 0.25) == pytest.approx(0.25)
    assert threshold(distances, 0) == 0
