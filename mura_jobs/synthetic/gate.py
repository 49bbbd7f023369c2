"""Gates: how near synthetic images lie to training images and to each other, and what is too near.

A generator that has memorised returns training images, perhaps mirrored, brighter or a little moved. Images
of patients that it never saw lie some distance from the training images; what lies nearer than nearly all of
those is taken for a copy.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_BLOCK = 1024
"""Queries compared at once: bounds the memory, not the result."""

_DIGITS = 4
"""Distances are rounded, so that the last bits of a matrix product decide nothing."""


@dataclass(frozen=True)
class Nearest:
    """Each query's nearest reference image."""

    row: NDArray[np.int64]
    """Its row, shape (Q,); -1 where there is none to compare with."""
    distance: Floats
    """Root mean squared difference of the two, each with mean 0 and deviation 1: 0 (same) to 2 (negative),
    shape (Q,); infinite where there is none."""


def thumbnails(images_NRR: NDArray[np.uint8], side: int) -> Floats:
    """Images as unit vectors, (N, side²): reduced, their mean taken off, their length made 1.

    Brightness and contrast fall away. An image of one grey has no pattern; it is like its own kind only.
    """
    side = min(side, images_NRR.shape[1])
    small = [
        cv2.resize(image.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
        for image in images_NRR
    ]
    flat = np.stack(small).reshape(len(small), side * side)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    blank = length < 1e-3 * side
    even = np.float32(1 / side)
    return np.where(blank, even, flat / np.where(blank, 1, length)).astype(np.float32)


def mirrored(vectors_NP: Floats) -> Floats:
    """The vectors of the images mirrored left to right."""
    side = round(vectors_NP.shape[1] ** 0.5)
    return np.ascontiguousarray(vectors_NP.reshape(-1, side, side)[:, :, ::-1]).reshape(vectors_NP.shape)


def nearest(query_QP: Floats, reference_NP: Floats) -> Nearest:
    """Each query's nearest reference, either of the two mirrored or not."""
    rows = [likeness.argmax(axis=1) for _, likeness in _likenesses(query_QP, reference_NP)]
    return _measure(query_QP, reference_NP, np.concatenate(rows))


def nearest_earlier(vectors_NP: Floats) -> Nearest:
    """Each image's nearest among those before it."""
    rows = []
    for start, likeness in _likenesses(vectors_NP, vectors_NP):
        number = start + np.arange(len(likeness))
        likeness[np.arange(len(vectors_NP))[None] >= number[:, None]] = -np.inf
        rows.append(likeness.argmax(axis=1))
    row = np.concatenate(rows)
    row[0] = -1
    return _measure(vectors_NP, vectors_NP, row)


def threshold(select_to_train: Nearest, quantile: float) -> float:
    """The distance that is too near: a quantile of those from unseen patients' images to training ones."""
    return round(float(np.quantile(select_to_train.distance, quantile)), _DIGITS)


def _likenesses(query_QP: Floats, reference_NP: Floats) -> Iterator[tuple[int, Floats]]:
    """Blocks of cosines, the greater of plain and mirrored, each with the number of its first query."""
    turned = mirrored(query_QP)
    for start in range(0, len(query_QP), _BLOCK):
        block = slice(start, start + _BLOCK)
        yield start, np.maximum(query_QP[block] @ reference_NP.T, turned[block] @ reference_NP.T)


def _measure(query_QP: Floats, reference_NP: Floats, row: NDArray[np.int64]) -> Nearest:
    """Distances to the given rows, where there is one.

    Taken from differences: cosines near 1 have lost the digits that tell a copy from a likeness. Unit vectors
    scaled to deviation 1 differ by as much, root mean squared, as unit vectors are apart.
    """
    found = reference_NP[row]
    apart = [np.linalg.norm(query - found, axis=1) for query in (query_QP, mirrored(query_QP))]
    distance = np.where(row < 0, np.inf, np.minimum(*apart))
    return Nearest(row, distance.round(_DIGITS).astype(np.float32))
