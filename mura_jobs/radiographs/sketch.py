"""Sketches: small copies of pictures, alike for copies of one picture whatever was done to them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.cleaning.clean import Record
from mura_jobs.radiographs.cleaning.exposure import apply_window
from mura_jobs.radiographs.cleaning.field import Field
from mura_jobs.radiographs.cleaning.shape import quantise
from mura_jobs.radiographs.decode import Grey

SIDE = 64
"""Side of a sketch (px)."""


def sketch(raw: Grey, record: Record, *, turn: bool) -> NDArray[np.uint8]:
    """The exposed field of a raw picture, in its window, stretched to (SIDE, SIDE).

    Frames and what lies outside the collimation are left out: two pictures in the same frame are no copies.

    Args:
        raw: the picture as decoded.
        record: what cleaning found in it.
        turn: whether `raw` shows inverted photometry.
    """
    field = Field(
        x=record.field_x,
        y=record.field_y,
        width=record.field_width,
        height=record.field_height,
        rotation=record.rotation,
        confidence=record.field_confidence,
    ).cut_from(raw)
    rule = cv2.INTER_AREA if min(field.shape) >= SIDE else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(field, (SIDE, SIDE), interpolation=rule), np.float32)
    return quantise(apply_window(1 - small if turn else small, record.window_black, record.window_white))
