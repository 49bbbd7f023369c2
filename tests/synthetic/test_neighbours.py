import numpy as np
from numpy.typing import NDArray

from mura_jobs.synthetic.neighbours import nearest_features, radii, realism

Floats = NDArray[np.float32]


def points(count: int, seed: int, dim: int = 5) -> Floats:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def apart(first: Floats, second: Floats) -> Floats:
    return np.asarray(np.linalg.norm(first[:, None] - second[None], axis=2))


def test_the_nearest_is_that_of_the_nearer_view() -> None:
    plain, mirrored, reference = points(7, 1), points(7, 2), points(11, 3)
    found = nearest_features([plain, mirrored], reference)
    both = np.minimum(apart(plain, reference), apart(mirrored, reference))
    np.testing.assert_array_equal(found.row, both.argmin(axis=1))
    np.testing.assert_allclose(found.distance, both.min(axis=1), atol=1e-4)


def test_a_copy_lies_at_no_distance_however_long_its_features_are() -> None:
    """A distance by matrix product would be some 0.1 here."""
    reference = points(50, 1, dim=200) + 1000
    found = nearest_features([reference[[33]] + 500, reference[[33]]], reference)
    assert (found.row[0], found.distance[0]) == (33, 0)


def test_radii_reach_to_the_kth_other() -> None:
    reference = points(9, 1)
    distances = np.sort(apart(reference, reference), axis=1)
    for k in (1, 3):
        np.testing.assert_allclose(radii(reference, k), distances[:, k], atol=1e-5)


def test_realism_is_that_of_its_equation() -> None:
    """Over the half of the references with smaller radii, the largest radius over distance."""
    query, reference = points(6, 1), points(20, 2)
    radius = radii(reference, 3)
    dense = radius <= np.median(radius)
    expected = (radius[dense] / apart(query, reference[dense])).max(axis=1)
    np.testing.assert_allclose(realism(query, reference, radius), expected, atol=1e-4)


def test_realism_falls_with_the_distance_from_all_references() -> None:
    reference = points(200, 1)
    radius = radii(reference, 3)
    direction = points(1, 2)
    scores = realism(np.concatenate([direction * far for far in (0.1, 3, 10, 100)]), reference, radius)
    assert (np.diff(scores) < 0).all()
    assert scores[0] > 0.5
    assert scores[-1] < 0.05
    dense = reference[radius <= np.median(radius)]
    assert realism(dense[:1], reference, radius)[0] > 100  # a copy
