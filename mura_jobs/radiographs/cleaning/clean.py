"""All steps of cleaning, in order, with a record of what each did."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.cleaning.exposure import apply_window, equalise, window
from mura_jobs.radiographs.cleaning.field import Field, find_field
from mura_jobs.radiographs.cleaning.markers import Box, Markers, find_markers, remove
from mura_jobs.radiographs.cleaning.photometry import confidence, inversion_odds
from mura_jobs.radiographs.cleaning.shape import quantise, sharpen, to_square
from mura_jobs.radiographs.config import CleaningConfig
from mura_jobs.radiographs.decode import Grey

SMALLEST = 64
"""Pictures whose longer side (px) is below this are neither cropped nor judged for inversion: on so few
pixels the edge of a field and the air around the body are not to be told from anatomy."""

ENOUGH_LEVELS = 64
"""Grey levels of 8 bits within the window from which a picture shows no steps."""


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
    """0 to 1, as the other confidences; 1 also where a step is off."""
    rotation_confidence: float
    inverted: bool
    """Whether its photometry was inverted, and was turned."""
    inverted_confidence: float
    """0.5 to 1; 0.5 where it was not judged."""
    markers: int
    """How many side markers were found."""
    marker_boxes: str
    """Their boxes in the raw picture, as "left top right bottom", with "; " between."""
    markers_confidence: float
    window_black: float
    """Grey value (0 to 1) that became black."""
    window_white: float
    window_confidence: float
    """How finely the raw picture tells the greys within the window apart; 1 from 64 levels."""
    raw_brightness: float
    """Mean grey (0 to 1) of the field in the raw picture."""
    brightness: float
    """The same after cleaning, padding not counted."""
    confidence: float
    """Product of the above: the chance that all steps are right, if their mistakes are independent."""


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
    raw_brightness = float(grey.mean())
    odds = inversion_odds(grey) if config.invert and judged else 0.0
    if odds > 0:
        grey = 1 - grey
    black, white = window(grey, config.window_low, config.window_high)
    found = Markers.none(grey.shape)
    if config.markers != "ignore" and judged:
        found = find_markers(grey, black, white)
        if found.boxes and config.markers != "keep":
            grey = remove(grey, found, config.markers)
            black, white = window(grey, config.window_low, config.window_high)
    if not config.window:
        black, white = 0.0, 1.0
    exposed = equalise(apply_window(grey, black, white), config.clahe)
    pixels = quantise(to_square(exposed, resolution, config.square))
    confidences = {
        "field_confidence": field.confidence,
        "rotation_confidence": field.rotation_confidence,
        "inverted_confidence": confidence(odds),
        "markers_confidence": found.confidence,
        "window_confidence": min((white - black) * 255 / ENOUGH_LEVELS, 1.0),
    }
    record = Record(
        raw_height=raw.shape[0],
        raw_width=raw.shape[1],
        field_x=field.x,
        field_y=field.y,
        field_width=field.width,
        field_height=field.height,
        rotation=field.rotation,
        inverted=odds > 0,
        markers=len(found.boxes),
        marker_boxes="; ".join(_raw_box(field, box, raw.shape) for box in found.boxes),
        window_black=black,
        window_white=white,
        raw_brightness=raw_brightness,
        brightness=float(exposed.mean()),
        **confidences,
        confidence=prod(confidences.values()),
    )
    return sharpen(pixels, config.sharpen), record


def _raw_box(field: Field, box: Box, shape: tuple[int, ...]) -> str:
    """The upright box in the raw picture around one in the field."""
    left, top, right, bottom = box
    corners = field.to_picture(np.array([(left, top), (right, top), (right, bottom), (left, bottom)]))
    low = np.maximum(np.floor(corners.min(axis=0)), 0)
    high = np.minimum(np.ceil(corners.max(axis=0)), (shape[1], shape[0]))
    return " ".join(f"{v:.0f}" for v in (*low, *high))
