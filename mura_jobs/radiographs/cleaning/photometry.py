"""Photometry: whether a picture shows bone dark on a light background."""

from math import exp

import cv2
import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.decode import Grey

WORK = 96
"""Longer side (px) of the copy that is judged."""

# Weights of the signs below for "inverted", by logistic regression without intercept on 2,000 phantoms of two
# noise levels and their negatives; so a picture and its negative get opposite scores.
_WEIGHTS = np.array([5.5, -8.4, -4.4, 7.3, 7.4, 1.55])

_PRIOR = -2.44  # log odds of MURA's share of inverted pictures, about 8 %


def inversion_odds(field: Grey) -> float:
    """Log odds that a picture's exposed field is inverted; positive means yes."""
    return float(_WEIGHTS @ _signs(field)) + _PRIOR


def confidence(log_odds: float) -> float:
    """Probability of the likelier of two answers, 0.5 to 1."""
    return 1 / (1 + exp(-abs(log_odds)))


def _signs(field: Grey) -> NDArray[np.float64]:
    """Six signs, each odd: the negative of a picture has their negatives."""
    scale = WORK / max(field.shape)
    size = (max(round(field.shape[1] * scale), 16), max(round(field.shape[0] * scale), 16))
    small = cv2.resize(field, size, interpolation=cv2.INTER_AREA)
    low, high = np.percentile(small, (1, 99))
    grey = np.clip((small - low) / max(high - low, 1e-3), 0, 1).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), 1)
    bone_wide = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    ridges = float(cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, bone_wide).mean())
    valleys = float(cv2.morphologyEx(smooth, cv2.MORPH_BLACKHAT, bone_wide).mean())
    border = np.concatenate([grey[:3].ravel(), grey[-3:].ravel(), grey[:, :3].ravel(), grey[:, -3:].ravel()])
    ends = (slice(12), slice(-12, None))
    corners = [float(grey[rows, columns].mean()) for rows in ends for columns in ends]
    deviation = grey - grey.mean()
    return np.array(
        [
            (grey > 0.85).mean() - (grey < 0.15).mean(),  # air is a large area at one end of the range
            2 * np.median(grey) - 1,
            (ridges - valleys) / (ridges + valleys + 1e-6),  # bones are narrow and bright
            2 * border.mean() - 1,
            min(corners) + max(corners) - 1,  # one corner at least is air
            (deviation**3).mean() / (grey.std() ** 3 + 1e-6),
        ]
    )  # fmt: skip
