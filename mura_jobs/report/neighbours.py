"""How near synthetic radiographs come to training ones, in pixels: a plain look at memorisation.

The thorough test is the gate of `synthesize`; this one lets a reader see for themselves.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mura_jobs.report.statistics import Floats, Ints

_SIDE = 32
"""Images are compared at this side in pixels, where noise and shifts of a pixel do not hide a likeness."""


@dataclass(frozen=True)
class Nearest:
    """The nearest training image of each query image."""

    row: Ints
    """Its row among the training images, shape (Q,)."""
    mirrored: NDArray[np.bool_]
    """Whether the query is nearer to it when mirrored left to right, shape (Q,)."""
    distance: Floats
    """Root mean squared difference in grey levels, 0 to 255, shape (Q,)."""


def nearest(query_QHW: NDArray[np.uint8], training_NHW: NDArray[np.uint8]) -> Nearest:
    """Find each query's nearest training image, itself or mirrored."""
    training = _flat(training_NHW)
    plain, mirrored = _flat(query_QHW), _flat(query_QHW[:, :, ::-1])
    rows = [_closest(query, training) for query in (plain, mirrored)]
    distances = [_rms(query, training[row]) for query, row in zip((plain, mirrored), rows, strict=True)]
    turned = distances[1] < distances[0]
    return Nearest(
        row=np.where(turned, rows[1], rows[0]), mirrored=turned, distance=np.where(turned, *distances[::-1])
    )


def _closest(query_QP: NDArray[np.float32], training_NP: NDArray[np.float32]) -> Ints:
    """Row of the training image with the least |q − t|², of which |q|² is the same for all."""
    partial_QN = (training_NP**2).sum(axis=1) - 2 * query_QP @ training_NP.T
    return np.asarray(np.argmin(partial_QN, axis=1))


def _rms(first_QP: NDArray[np.float32], second_QP: NDArray[np.float32]) -> Floats:
    squared: Floats = ((first_QP - second_QP).astype(np.float64) ** 2).mean(axis=1)
    return np.sqrt(squared)


def _flat(images_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
    side = min(_SIDE, images_NHW.shape[1])
    small = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in images_NHW]
    return np.stack(small).reshape(len(images_NHW), -1).astype(np.float32)
