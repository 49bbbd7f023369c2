"""All steps of cleaning, in order, with a record of what each did."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.cleaning.exposure import apply_window, window
from mura_jobs.radiographs.cleaning.field import Field, find_field
from mura_jobs.radiographs.cleaning.photometry import confidence, inversion_odds
from mura_jobs.radiographs.cleaning.shape import quantise, sharpen, to_square
from mura_jobs.radiographs.config import CleaningConfig
from mura_jobs.radiographs.decode import Grey

SMALLEST = 64
"""Pictures whose longer side (px) is below this are neither cropped nor judged for inversion: on so few
pixels the edge of a field and the air around the body are not to be told from anatomy."""


@dataclass(frozen=True)
class Record:
    """What cleaning did to one picture: the cleaning columns of the index. Lengths in raw pixels."""

    raw_height: int
    raw_width: int
    field_x: float
    """Centre of the exposed field that was kept."""
    field_y: float
    field_width: float
    field_height: float
    rotation: float
    """Degrees, clockwise, by which the field lay turned."""
    field_confidence: float
    """0 to 1; 1 where nothing was cut off."""
    inverted: bool
    """Whether its photometry was inverted, and was turned."""
    inverted_confidence: float
    """0.5 to 1; 0.5 where it was not judged."""
    window_black: float
    """Grey value (0 to 1) that became black."""
    window_white: float


def clean(raw: Grey, resolution: int, config: CleaningConfig) -> tuple[NDArray[np.uint8], Record]:
    """Clean one picture.

    Args:
        raw: (height, width), 0 to 1.
        resolution: side of the result in pixels.
        config: which steps, and how.

    Returns:
        The picture, uint8 (resolution, resolution), and the record.
    """
    judged = max(raw.shape) >= SMALLEST
    field = Field.whole(raw.shape)
    if config.crop and judged:
        field = find_field(raw, straighten=config.straighten)
    grey = field.cut_from(raw)
    odds = inversion_odds(grey) if config.invert and judged else 0.0
    if odds > 0:
        grey = 1 - grey
    black, white = window(grey, config.window_low, config.window_high) if config.window else (0.0, 1.0)
    pixels = quantise(to_square(apply_window(grey, black, white), resolution, config.square))
    record = Record(
        raw_height=raw.shape[0],
        raw_width=raw.shape[1],
        field_x=field.x,
        field_y=field.y,
        field_width=field.width,
        field_height=field.height,
        rotation=field.rotation,
        field_confidence=field.confidence,
        inverted=odds > 0,
        inverted_confidence=confidence(odds),
        window_black=black,
        window_white=white,
    )
    return sharpen(pixels, config.sharpen), record
