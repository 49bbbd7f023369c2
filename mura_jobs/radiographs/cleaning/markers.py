"""Side markers: letters of lead or of the scanner's, told from bones and implants by how they are drawn.

A letter is drawn with strokes of one width, evenly bright, sharp on both sides, on something smoother than
itself, often with others of its kind beside it. Bones fade into what is around them, and metal in the body is
long, or lies on bones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.decode import Grey

WORK = 256
"""Longer side (px) of the copy that is searched."""
STROKE = 13
"""Strokes are narrower than this (px of the copy, as all below)."""
LEVELS = (0.1, 0.2, 0.4)
"""Heights above the surroundings, as shares of the window, at which things are looked for."""
NOISE = 6
"""Levels lower than so many deviations of the noise are left out."""
SHORTEST, LONGEST = 4, 72
"""Extent of a letter, or of a ring or a box around some."""
CONTRAST, STEEPNESS = 0.13, 0.06
"""Mean height above the surroundings, and mean slope, below which a thing is not looked at closely."""
STRONG, WEAK = 0.8, 0.3
"""Probability from which a thing is a letter, and from which it is one beside another."""
BESIDE = 0.7
"""How far letters of one marker stand apart, in extents of the larger."""
MARGIN = 4
"""How far around a thing its surroundings are looked at."""
SPREAD = 2
"""How far ink shines into its surroundings."""

# The signs' means and deviations; then the weights of the signs, of their squares and of `company` for
# "letter", by logistic regression on 14,000 things found in 450 phantoms at three levels of noise, of which a
# third had screws, wires, plates and loops of metal drawn in.
_MEAN = np.array([
    -0.98, -0.34, 0.45, 0.75, 0.46, 0.087, 1.4, 2.6, 0.79, 0.52, 0.038, 0.27, -0.78, 0.5, 0.028, 0.13,
])  # fmt: skip
_DEVIATION = np.array([
    0.94, 1.2, 0.39, 0.31, 0.3, 0.43, 0.3, 0.71, 0.6, 0.18, 0.42, 0.16, 0.89, 0.3, 0.097, 0.081,
])  # fmt: skip
_WEIGHTS = np.array([
    1.2, 0.93, -0.4, 1.5, -0.34, -0.25, -1.6, 0.23, -0.91, 0.1, 1.4, 0.046, -0.77, -0.34, -2.4, -0.47,
    -0.6, 0.15, 0.12, -0.025, 0.076, -0.18, 0.13, -0.65, 0.039, 0.071, 0.6, 0.47, 0.11, 0.9, 0.46, -0.64,
    0.92, 1.1,
])  # fmt: skip
_CONSTANT = -2.51


Signs = NDArray[np.float64]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the field."""


@dataclass(frozen=True)
class Markers:
    """What was found in a field."""

    boxes: tuple[Box, ...]
    """One for letters that stand together, from left to right."""
    confidence: float
    """Probability of the least certain decision for or against one, 0 to 1."""
    ink: NDArray[np.bool_]
    """Where their ink is, of the field's shape."""

    @staticmethod
    def none(shape: tuple[int, ...]) -> "Markers":
        """Nothing in a field of a shape (height, width)."""
        return Markers((), 1.0, np.zeros(shape, np.bool_))


@dataclass(frozen=True)
class Thing:
    """Something narrow and bright, in pixels of the working copy."""

    left: int
    top: int
    right: int
    """First column right of it."""
    bottom: int
    """First row below it."""
    ink: NDArray[np.bool_]
    signs: Signs


def find_markers(field: Grey, black: float, white: float) -> Markers:
    """The side markers of a field, upright photometry.

    Args:
        field: (height, width).
        black: grey value that the window makes black.
        white: the same for white; markers may be brighter.
    """
    scale = min(WORK / max(field.shape), 1.0)
    size = (max(round(field.shape[1] * scale), 1), max(round(field.shape[0] * scale), 1))
    small = cv2.resize(field, size, interpolation=cv2.INTER_AREA)
    seen = list(things(np.asarray(np.clip((small - black) / (white - black), 0, 2), np.float32)))
    if not seen:
        return Markers.none(field.shape)
    outlines = np.array([(thing.left, thing.top, thing.right, thing.bottom) for thing in seen])
    likely = probabilities(seen)
    groups = _groups(outlines, likely)
    ink = np.zeros(small.shape, np.uint8)
    boxes: list[Box] = []
    for group in groups:
        for number in group:
            left, top, right, bottom = outlines[number]
            ink[top:bottom, left:right] |= seen[number].ink
        low, high = outlines[group, :2].min(axis=0), outlines[group, 2:].max(axis=0)
        grown = np.divide(field.shape[::-1], size)
        left, top, right, bottom = (float(v) for v in (*low * grown, *high * grown))
        boxes.append((left, top, right, bottom))
    rest = np.delete(likely, np.concatenate(groups) if groups else [])
    certain = min((float(likely[group].max()) for group in groups), default=1.0)
    wider = cv2.dilate(ink, np.ones((2 * SPREAD + 1, 2 * SPREAD + 1), np.uint8))
    mask = cv2.resize(wider, field.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return Markers(tuple(sorted(boxes)), min(certain, 1 - float(rest.max(initial=0.0))), mask)


def remove(field: Grey, markers: Markers, rule: Literal["keep", "mask", "inpaint"]) -> Grey:
    """The field without its markers.

    Args:
        field: (height, width).
        markers: what was found in it.
        rule: `keep` changes nothing, `mask` blackens the boxes, so that no letter's shape is left, `inpaint`
            fills the ink from around (Telea 2004).
    """
    if rule == "keep" or not markers.boxes:
        return field
    if rule == "inpaint":
        radius = SPREAD * max(max(field.shape) / WORK, 1.0)
        levels = np.round(field * 65535).astype(np.uint16)
        filled = cv2.inpaint(levels, markers.ink.astype(np.uint8), radius, cv2.INPAINT_TELEA)
        return np.asarray(np.where(markers.ink, filled / np.float32(65535), field), np.float32)
    masked = field.copy()
    edge = round(SPREAD * max(max(field.shape) / WORK, 1.0))
    for left, top, right, bottom in markers.boxes:
        rows = slice(max(round(top) - edge, 0), round(bottom) + edge)
        masked[rows, max(round(left) - edge, 0) : round(right) + edge] = field.min()
    return masked


def probabilities(seen: list[Thing]) -> NDArray[np.float64]:
    """Of each thing in a picture, the probability that it is a letter."""
    signs = np.array([thing.signs for thing in seen])
    spread = (signs - _MEAN) / _DEVIATION
    odds = np.column_stack([spread, spread**2, company(seen)]) @ _WEIGHTS + _CONSTANT
    return np.asarray(1 / (1 + np.exp(-odds)))


def company(seen: list[Thing]) -> NDArray[np.float64]:
    """(n, 2) Of each thing, how many alike in extent and brightness stand beside it, and how many hold it.

    Each counts to 3 at most. What is found at several levels holds itself, as letters are.
    """
    boxes = np.array([(thing.left, thing.top, thing.right, thing.bottom) for thing in seen])
    low, high = boxes[:, :2], boxes[:, 2:]
    extent = np.log((high - low).max(axis=1))
    contrast = np.array([thing.signs[0] for thing in seen])
    alike = (np.abs(extent[:, None] - extent) < 0.7) & (np.abs(contrast[:, None] - contrast) < 0.4)
    beside = (alike & _beside(boxes) & ~_overlapping(boxes)).sum(axis=1)
    held = ((low[:, None] >= low - 1) & (high[:, None] <= high + 1)).all(axis=2).sum(axis=1) - 1
    return np.asarray(np.minimum(np.stack([beside, held], axis=1), 3.0))


def _groups(boxes: NDArray[np.int64], likely: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Numbers of the things of each marker: letters, and what is perhaps one beside them."""
    linked = _beside(boxes) | _overlapping(boxes)
    left = set(np.flatnonzero(likely > STRONG).tolist())
    weak = likely > WEAK
    groups = []
    while left:
        group, fresh = set(), {min(left)}
        while fresh:
            group |= fresh
            reached = linked[sorted(fresh)].any(axis=0) & weak
            fresh = set(np.flatnonzero(reached).tolist()) - group
        left -= group
        groups.append(np.array(sorted(group)))
    return groups


def _beside(boxes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n, n) which boxes are no further apart than BESIDE times the larger's extent."""
    low, high = boxes[:, :2], boxes[:, 2:]
    apart = np.maximum(np.maximum(low[:, None] - high, low - high[:, None]), 0)
    extent = (high - low).max(axis=1)
    return np.asarray(np.hypot(*apart.transpose(2, 0, 1)) < BESIDE * np.maximum(extent[:, None], extent))


def _overlapping(boxes: NDArray[np.int64]) -> NDArray[np.bool_]:
    low, high = boxes[:, :2], boxes[:, 2:]
    common = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    return np.asarray((common > 0).all(axis=2))


def things(grey: Grey) -> Iterator[Thing]:
    """What could be letters at any of the levels, in a working copy whose window is 0 to 1."""
    kernel = np.ones((STROKE, STROKE), np.uint8)
    # Beyond the edge lies black, so that a letter cut off by it is narrow too.
    opened = cv2.morphologyEx(np.pad(grey, STROKE), cv2.MORPH_OPEN, kernel)
    ground = np.asarray(opened[STROKE:-STROKE, STROKE:-STROKE], np.float32)
    height = grey - ground
    dx, dy = (cv2.Sobel(grey, cv2.CV_32F, 1 - n, n, scale=0.25) for n in (0, 1))
    slope = np.asarray(np.sqrt(dx * dx + dy * dy), np.float32)  # cv2.magnitude's last bit varies
    grain = 1.5 * float(np.median(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1))))
    for level in (level for level in LEVELS if level > NOISE * grain):
        high = (height > level).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(high, connectivity=8)
        sides, area = stats[:, 2:4], stats[:, cv2.CC_STAT_AREA]
        contrast, steepness = (
            np.bincount(labels.ravel(), a.ravel(), len(stats)) / area for a in (height, slope)
        )
        usable = (contrast > CONTRAST) & (steepness > STEEPNESS) & (area >= 6) & (sides.min(axis=1) >= 2)
        usable &= (sides.max(axis=1) >= SHORTEST) & (sides.max(axis=1) <= LONGEST)
        for label in np.flatnonzero(usable[1:]) + 1:
            left, top, width, tall = (int(v) for v in stats[label, :4])
            rows = slice(max(top - MARGIN, 0), top + tall + MARGIN)
            columns = slice(max(left - MARGIN, 0), left + width + MARGIN)
            near = (rows, columns)
            middle = np.array([left + width / 2, top + tall / 2])
            border = float(min(*middle, *(grey.shape[::-1] - middle))) / max(grey.shape)
            own = (labels[near] == label).astype(np.uint8)
            signs = _signs(grey[near], ground[near], slope[near], own, level=level, border=border)
            if signs is not None:
                y, x = top - rows.start, left - columns.start
                yield Thing(left, top, left + width, top + tall, own[y : y + tall, x : x + width] > 0, signs)


def _signs(
    grey: Grey, ground: Grey, slope: Grey, own: NDArray[np.uint8], *, level: float, border: float
) -> Signs | None:
    """What a thing and its surroundings look like; None where there is nothing around it.

    Args:
        grey: a part of the working copy with the thing in its middle, MARGIN around it.
        ground: the same without what is narrow.
        slope: the same part's slope.
        own: 1 where the thing is.
        level: at which it was found.
        border: how far its middle is from the picture's nearest edge, as a share of the longer side.
    """
    rest = grey[cv2.dilate(own, np.ones((5, 5), np.uint8)) == 0]
    if rest.size < 8:
        return None
    y, x = np.nonzero(own)
    width, tall = np.ptp(x) + 1, np.ptp(y) + 1
    longer, area = max(width, tall), len(x)
    edge = cv2.erode(own, np.ones((3, 3), np.uint8)) < own
    distance = cv2.distanceTransform(np.pad(own, 1), cv2.DIST_L2, 3)[1:-1, 1:-1][own > 0]
    dark, light = _quantiles(grey[own > 0], 0.2, 0.8)
    low, middle, high = _quantiles(rest, 0.1, 0.5, 0.9)
    contrast = max(light - middle, 0.02)
    dull, steep = _quantiles(slope[edge], 0.2, 0.6)
    (under,) = _quantiles(ground.ravel(), 0.95)
    outside = cv2.floodFill(np.pad(own, 1), None, (0, 0), 1)[1]
    holes = int((outside == 0).sum())
    stroke = 4 * float(distance.mean()) - 1
    moments = cv2.moments(own, binaryImage=True)
    xx, yy, xy = (moments[name] / area for name in ("mu20", "mu02", "mu11"))
    root = np.hypot(xx - yy, 2 * xy)
    return np.array(
        [
            np.log(contrast),
            np.log((high - low) / contrast + 0.02),
            min((light - dark) / contrast, 3),
            min(steep / contrast, 2),
            min(dull / contrast, 2),
            np.clip((under - middle) / contrast, -2, 2),
            np.log(stroke),
            np.log(longer),
            0.5 * np.log((xx + yy + root + 0.16) / (xx + yy - root + 0.16)),
            area / (width * tall),
            np.log(area / max(stroke, 1) / longer),
            float(distance.std() / distance.mean()),
            np.log(level / contrast),
            middle,
            holes / (width * tall),
            min(border, 0.25),
        ]
    )


def _quantiles(values: NDArray[np.float32], *shares: float) -> list[float]:
    ordered = np.sort(values)
    return [float(ordered[int(share * (len(ordered) - 1))]) for share in shares]
