"""Exposure: the range of grey values that holds the anatomy."""

import cv2
import numpy as np

from mura_jobs.radiographs.decode import Grey

MARKER_AREA = 0.03
"""Side markers cover at most this share of a picture each."""


def window(field: Grey, low: float, high: float) -> tuple[float, float]:
    """The grey values that become black and white.

    Args:
        field: the exposed field, upright photometry.
        low: percentile of all pixels that becomes black.
        high: percentile that becomes white, of the pixels that belong to no side marker or implant.

    Returns:
        The lower and the higher grey value, at least 1/255 apart.
    """
    anatomy = field[~bright_objects(field)]
    values = anatomy if anatomy.size else field.ravel()
    black, white = float(np.percentile(field, low)), float(np.percentile(values, high))
    return black, max(white, black + 1 / 255)


def apply_window(grey: Grey, black: float, white: float) -> Grey:
    """Stretch so that `black` becomes 0 and `white` 1; what lies outside becomes 0 and 1."""
    return np.asarray(np.clip((grey - black) / (white - black), 0, 1), np.float32)


def equalise(grey: Grey, clip: float) -> Grey:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994) on 8 × 8 tiles; none at clip 0."""
    if clip == 0:
        return grey
    levels = np.round(grey * 255).astype(np.uint8)  # with 16 bits, OpenCV's limit would leave nothing to do
    return np.asarray(cv2.createCLAHE(clip, (8, 8)).apply(levels) / np.float32(255), np.float32)


def bright_objects(field: Grey) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Where small things are much brighter than all anatomy: letters, lead, metal. Boolean, as `field`."""
    scale = min(192 / max(field.shape), 1.0)
    size = (max(round(field.shape[1] * scale), 1), max(round(field.shape[0] * scale), 1))
    small = cv2.resize(field, size, interpolation=cv2.INTER_AREA)
    anatomy = cv2.medianBlur(np.round(small * 255).astype(np.uint8), min(15, (min(size) - 1) | 1))
    top = max(float(np.percentile(anatomy, 99.5)) / 255, 0.02)
    bright = (small > 1.25 * top).astype(np.uint8)
    number, labels, stats, _ = cv2.connectedComponentsWithStats(bright, connectivity=8)
    few = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] <= MARKER_AREA * small.size)
    mask = np.isin(labels, few[few > 0]).astype(np.uint8) if number > 1 else np.zeros_like(bright)
    wider = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    return cv2.resize(wider, field.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
