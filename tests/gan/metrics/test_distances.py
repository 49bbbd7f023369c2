import numpy as np
from numpy.typing import NDArray
import pytest

from mura_jobs.gan.metrics.distances import density_coverage, frechet_distance, kernel_distance

Features = NDArray[np.float32]


def normal(seed: int, count: int, dim: int = 8) -> Features:
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)


def test_frechet_distance_of_equal_covariances() -> None:
    """Equal covariances leave only the squared distance of the means."""
    real = normal(0, 200)
    shift = np.arange(8, dtype=np.float32)
    assert frechet_distance(real, real + shift) == pytest.approx(float(shift @ shift), rel=1e-4)


def test_frechet_distance_of_commuting_covariances() -> None:
    """Without a shift and along common axes it is the sum of (standard deviation difference)²."""
    real = normal(0, 400)
    real -= real.mean(0)
    scale = np.linspace(0.5, 3, 8)
    covariance = np.cov(real, rowvar=False)
    values, axes = np.linalg.eigh(covariance)
    stretched = ((real @ axes) * scale) @ axes.T
    expected = float((values * (scale - 1) ** 2).sum())
    assert frechet_distance(real, stretched.astype(np.float32)) == pytest.approx(expected, rel=1e-3)


def test_frechet_distance_with_fewer_images_than_dimensions() -> None:
    """Singular covariances give a finite figure, 0 for a set and itself."""
    few = normal(1, 20, 64)
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-3)
    assert np.isfinite(frechet_distance(few, normal(2, 20, 64)))


def test_kernel_distance_is_the_definition() -> None:
    """Against the double sums written out."""
    x, y = normal(0, 30).astype(np.float64), normal(1, 30).astype(np.float64) + 0.5

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float((a @ b / 8 + 1) ** 3)

    n = len(x)
    own = sum(kernel(a[i], a[j]) for a in (x, y) for i in range(n) for j in range(n) if i != j)
    cross = sum(kernel(a, b) for a in x for b in y)
    expected = own / (n * (n - 1)) - 2 * cross / n**2
    assert kernel_distance(x.astype(np.float32), y.astype(np.float32)) == pytest.approx(expected, rel=1e-4)


def test_kernel_distance_is_unbiased() -> None:
    """Over many pairs of samples of one distribution it averages to nothing."""
    values = [kernel_distance(normal(2 * i, 40), normal(2 * i + 1, 40)) for i in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


def test_density_and_coverage_tell_crowding_from_spread() -> None:
    """Fakes like reals: density 1, coverage 1 - 1/2⁵. One image repeated: coverage 0. Far away: both 0."""
    real, fake = normal(0, 1000), normal(1, 1000)
    density, coverage = density_coverage(real, fake)
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.02)
    assert density_coverage(real, np.repeat(real[:1], 1000, axis=0))[1] < 0.02
    assert density_coverage(real, fake + 100) == (0, 0)
