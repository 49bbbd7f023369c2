"""Nearness in a feature space: what lies near a training image, and what lies among them at all."""

import numpy as np
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from mura_jobs.synthetic.gate import Floats, Nearest

_DIGITS = 4
"""Scores are rounded, so that the last bits of a matrix product decide nothing."""


def nearest_features(views: list[Floats], reference_NF: Floats) -> Nearest:
    """Each query's nearest reference in the nearest of its views.

    Args:
        views: features (Q, F) of the queries, and of the queries mirrored.
        reference_NF: features of the references.

    Returns:
        Rows of the references, and Euclidean distances.
    """
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(reference_NF)
    row_VQ = np.stack([search.kneighbors(query, return_distance=False)[:, 0] for query in views])
    # From differences: distances near 0 have lost their digits in the matrix product
    apart_VQ = np.linalg.norm(np.stack(views) - reference_NF[row_VQ], axis=2)
    view, every = apart_VQ.argmin(axis=0), np.arange(row_VQ.shape[1])
    return Nearest(row_VQ[view, every], apart_VQ[view, every].round(_DIGITS).astype(np.float32))


def radii(reference_NF: Floats, k: int) -> Floats:
    """Distance of each reference to the k-th nearest of the others, (N,)."""
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(reference_NF)
    return np.asarray(search.kneighbors()[0][:, -1], np.float32)


def realism(query_QF: Floats, reference_NF: Floats, radius_N: Floats) -> Floats:
    """How well within the references each query lies, (Q,): 1 and above is within, 0 is far away.

    The largest ratio of a reference's radius to the query's distance from it, over the half of the references
    with the smaller radii, so that stragglers vouch for nobody (Kynkäänniemi et al. 2019, equation 3).
    Infinite for a copy of a reference.
    """
    dense = radius_N <= np.median(radius_N)
    with np.errstate(divide="ignore"):
        scores = [
            (radius_N[dense] / block).max(axis=1)
            for block in pairwise_distances_chunked(query_QF, reference_NF[dense])
        ]
    return np.concatenate(scores).round(_DIGITS).astype(np.float32)
