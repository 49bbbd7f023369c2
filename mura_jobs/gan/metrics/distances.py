"""Distances between two sets of features, as pure functions of arrays."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd

Features = NDArray[np.float32]

BLOCK = 1000
"""Images of either kind that are taken with each other at once; for the kernel as KID, section 5, has it."""
NEIGHBOURS = 5
"""Neighbours that span the ball around a real image (Naeem et al. 2020, section 4)."""


class _Given(nn.Module):
    """Stands where the metric expects a network: features come ready."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.num_features = dim

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(real_ND: Features, fake_MD: Features) -> float:
    """Fréchet distance of the two normal distributions with the features' means and covariances.

    ||mean difference||² + tr(S_r + S_f - 2 (S_r S_f)^½) (Heusel et al. 2017, eq. 6). It shrinks with the
    number of images, so that only figures from equal numbers may be compared.
    """
    # the features are those of all processes already: nothing is to be exchanged
    metric = FrechetInceptionDistance(feature=_Given(real_ND.shape[1]), sync_on_compute=False)
    metric.set_dtype(torch.float64)
    metric.update(torch.from_numpy(real_ND).double(), real=True)
    metric.update(torch.from_numpy(fake_MD).double(), real=False)
    # rounding takes the distance of a set to itself a little below 0
    return max(float(metric.compute()), 0.0)


def kernel_distance(real_ND: Features, fake_MD: Features) -> float:
    """Unbiased squared maximum mean discrepancy under (x·y / D + 1)³ (Bińkowski et al. 2018, eq. 3 and 4).

    The mean over blocks of as many images as both sets fill; 0 in expectation for two samples of one
    distribution, whatever their size, and so sometimes negative.
    """
    size = min(len(real_ND), len(fake_MD), BLOCK)
    blocks = min(len(real_ND), len(fake_MD)) // size
    real, fake = torch.from_numpy(real_ND).double(), torch.from_numpy(fake_MD).double()
    values = [
        float(poly_mmd(real[start : start + size], fake[start : start + size]))
        for start in range(0, blocks * size, size)
    ]
    return float(np.mean(values))


def density_coverage(real_ND: Features, fake_MD: Features) -> tuple[float, float]:
    """Fidelity and diversity by nearest neighbours (Naeem et al. 2020, eq. 6 and 8).

    Around each real image lies a ball that reaches to its 5th nearest real neighbour. Density: in how many
    balls a generated image lies, on average, over 5; about 1 for real images, and above where generated ones
    crowd. Coverage: the share of balls with a generated image in them (0 to 1); about 0.97 for real images.
    """
    own = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(real_ND)
    radii_N = own.kneighbors(real_ND)[0][:, NEIGHBOURS]
    inside_M, covered_N = np.zeros(len(fake_MD)), []
    for start in range(0, len(real_ND), BLOCK):
        rows = slice(start, start + BLOCK)
        distances_nM = pairwise_distances(real_ND[rows], fake_MD)
        inside_nM = distances_nM <= radii_N[rows, None]
        inside_M += inside_nM.sum(0)
        covered_N.append(inside_nM.any(1))
    return float(inside_M.mean() / NEIGHBOURS), float(np.concatenate(covered_N).mean())
