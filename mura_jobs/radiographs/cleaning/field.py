"""The exposed field: where in the picture the radiograph is, and how it lies turned.

Its edges are long straight lines with hardly anything beyond them: a black or white surround, the even grey
of unexposed film, a scanner's margin. The outlines of bones and skin are neither straight over the picture's
whole height nor is there nothing beyond them.
"""

from dataclasses import dataclass, replace
from math import exp

import cv2
import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.cleaning.edges import Edges, Side
from mura_jobs.radiographs.decode import Grey

WORK = 192
"""Longer side (px) of the copy in which edges are searched for."""
MIN_ROTATION, MAX_ROTATION = 0.7, 30.0
"""Degrees between which a field may lie turned; turned by less it counts as upright."""
LEAST_TURNED, BETTER = 1.8, 0.5
"""Sum of the sides' shares, up to 4, from which a field may be turned, and by how much it must exceed that of
the upright one."""
STEEP = 12.0
"""How fast confidence grows with the distance of a share from its threshold."""
CANDIDATES = 3
"""Angles that are tried."""
EDGE_SHARE, LIKELY_SHARE = 0.6, 0.25
"""How much of a side must be an edge, and how much of the whole picture's length makes it likely."""
STRICTER = 0.6
"""How much more of a side must be an edge in a picture of no size, and in one below WORK in proportion: the
fewer the pixels, the sharper and straighter anatomy is."""


@dataclass(frozen=True)
class Field:
    """A rectangle in a picture, turned about its own centre; lengths in pixels of that picture."""

    x: float
    """Centre."""
    y: float
    width: float
    height: float
    rotation: float
    """Degrees, clockwise, by which it lies turned."""
    confidence: float = 1.0
    """0.5 where a side is as near as can be to the other decision, up to 1."""
    rotation_confidence: float = 1.0
    """The same of the angle."""

    @staticmethod
    def whole(shape: tuple[int, ...]) -> "Field":
        """The whole picture of a shape (height, width)."""
        return Field(shape[1] / 2, shape[0] / 2, float(shape[1]), float(shape[0]), 0.0)

    def corners(self) -> NDArray[np.float64]:
        """(4, 2) x and y of the corners, clockwise from the top left."""
        half = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (self.width / 2, self.height / 2)
        return np.asarray(half @ _rotation(self.rotation).T + (self.x, self.y))

    def to_picture(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points (n, 2) of the straightened field lie in the picture."""
        return np.asarray(
            (points - (self.width / 2, self.height / 2)) @ _rotation(self.rotation).T + (self.x, self.y)
        )

    def cut_from(self, grey: Grey) -> Grey:
        """The field, straightened, at the picture's own scale; what lies outside the picture is black."""
        width, height = max(round(self.width), 1), max(round(self.height), 1)
        left, top = self.x - self.width / 2, self.y - self.height / 2
        if self.rotation == 0:
            rows, columns = slice(round(top), round(top) + height), slice(round(left), round(left) + width)
            return grey[rows, columns]
        turn = _rotation(self.rotation)
        start = np.array([self.x, self.y]) - turn @ (width / 2, height / 2)
        matrix = np.column_stack([turn, start + turn @ (0.5, 0.5) - 0.5])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(grey, matrix, (width, height), flags=flags), np.float32)


def find_field(grey: Grey, *, straighten: bool) -> Field:
    """The exposed field of a picture; the whole picture where no edge of a field is seen.

    Args:
        grey: the picture, (height, width).
        straighten: search for turned fields too, not only upright ones.
    """
    outer = _search(grey, straighten=straighten)
    if outer.rotation == 0 and (outer.width, outer.height) == grey.shape[::-1]:
        return outer
    # A black margin may lie within a white one.
    inner = _search(outer.cut_from(grey), straighten=straighten and outer.rotation == 0)
    x, y = outer.to_picture(np.array([(inner.x, inner.y)]))[0]
    return Field(
        float(x),
        float(y),
        inner.width,
        inner.height,
        outer.rotation + inner.rotation,
        min(outer.confidence, inner.confidence),
        min(outer.rotation_confidence, inner.rotation_confidence),
    )


def _search(grey: Grey, *, straighten: bool) -> Field:
    scale = min(WORK / max(grey.shape), 1.0)
    size = (max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1))
    small = _spread(np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32))
    chosen = upright = _sides(small, 0.0)
    certain = 1.0
    if straighten:
        tried = [_sides(small, angle) for angle in _likely_rotations(small)]
        turned = max(tried, key=lambda sides: sides.score, default=upright)
        better = min(turned.score - upright.score - BETTER, turned.score - LEAST_TURNED)
        chosen = turned if better > 0 else upright
        certain = _certainty(abs(better) / 4)
    if chosen.shares:
        return chosen.field((grey.shape[1] / size[0], grey.shape[0] / size[1]), certain)
    return replace(Field.whole(grey.shape), confidence=_certainty(chosen.margin), rotation_confidence=certain)


@dataclass(frozen=True)
class _Sides:
    """What a search at one angle found, in pixels of the turned working copy."""

    low: tuple[float, float]
    """x of the left side, y of the top one."""
    high: tuple[float, float]
    shares: tuple[float, ...]
    """Of each side seen, how much of its length is an edge."""
    margin: float
    """How far the least certain side's share, seen or not, is from the other decision."""
    turn: NDArray[np.float64]
    """(2, 3) from the turned copy to the working copy."""
    rotation: float

    @property
    def score(self) -> float:
        """How much speaks for this angle: up to 4."""
        return sum(self.shares)

    def field(self, scale: tuple[float, float], rotation_confidence: float) -> Field:
        """The field in a picture `scale` times as wide and high as the working copy."""
        centre = self.turn @ (*(np.add(self.low, self.high) / 2), 1)
        width, height = np.subtract(self.high, self.low)
        x, y, width, height = (float(v) for v in (*(centre * scale), width * scale[0], height * scale[1]))
        return Field(x, y, width, height, self.rotation, _certainty(self.margin), rotation_confidence)


def _certainty(margin: float) -> float:
    """From how far a share is from where the decision turns (0) to a confidence, 0.5 to 1."""
    return 1 / (1 + exp(-STEEP * margin))


def _spread(grey: Grey) -> Grey:
    """Grey with both ends spread (the arcsine transform), where edges of black or white surrounds hide."""
    return np.asarray(np.arcsin(np.sqrt(np.clip(grey, 0, 1))) / (np.pi / 2), np.float32)


def _likely_rotations(small: Grey) -> list[float]:
    """Angles (degrees) at which the picture holds long straight segments, the likeliest first."""
    segments = cv2.createLineSegmentDetector().detect(np.round(small * 255).astype(np.uint8))[0]
    if segments is None:
        return []
    x0, y0, x1, y1 = segments.reshape(-1, 4).T
    length = np.hypot(x1 - x0, y1 - y0)
    angle = (np.degrees(np.arctan2(y1 - y0, x1 - x0)) + 45) % 90 - 45
    usable = (
        (length > 0.12 * max(small.shape)) & (np.abs(angle) <= MAX_ROTATION) & (np.abs(angle) > MIN_ROTATION)
    )
    angle, length = angle[usable], length[usable]
    likely: list[float] = []
    while len(angle) and len(likely) < CANDIDATES:
        weight = (np.exp(-(((angle[:, None] - angle) / 0.7) ** 2)) * length).sum(axis=1)
        near = np.abs(angle - angle[weight.argmax()]) < 1.5
        likely.append(float(np.average(angle[near], weights=length[near])))
        angle, length = angle[~near], length[~near]
    return likely


def _sides(small: Grey, rotation: float) -> _Sides:
    """Search the four sides of a field that lies turned by `rotation` degrees."""
    height, width = small.shape
    turn = np.column_stack([_rotation(rotation), np.zeros(2)])
    corners = _rotation(-rotation) @ np.array([(0, 0), (width, 0), (width, height), (0, height)]).T
    low, high = corners.min(axis=1), corners.max(axis=1)
    turn[:, 2] = turn[:, :2] @ low
    size = tuple(int(v) for v in np.ceil(high - low))
    if rotation == 0:
        turned, inside = small, np.ones(small.shape, np.float32)
    else:
        shift = turn.copy()
        shift[:, 2] += turn[:, :2] @ (0.5, 0.5) - 0.5
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        turned = np.asarray(cv2.warpAffine(small, shift, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))
        covered = cv2.warpAffine(np.ones(small.shape, np.float32), shift, size, flags=flags)
        inside = np.asarray(cv2.erode(covered, np.ones((5, 5), np.uint8)) > 0.99, np.float32)
    # Rows are searched as the columns of the transposed copy. How much of a side is an edge can be told once
    # the neighbouring sides are known: a first look along the whole picture finds likely ones, others check.
    x, y = (0.0, float(turned.shape[1])), (0.0, float(turned.shape[0]))
    across, down = Edges.of(turned, inside), Edges.of(turned.T, inside.T)
    sides: list[Side] = []
    stricter = STRICTER * max(1 - max(small.shape) / WORK, 0.0)
    for least in (LIKELY_SHARE, EDGE_SHARE, EDGE_SHARE):
        left, right = across.sides(y, least, stricter)
        x = (left.at, turned.shape[1] - right.at)
        top, bottom = down.sides(x, least, stricter)
        y = (top.at, turned.shape[0] - bottom.at)
        sides = [left, right, top, bottom]
    shares = tuple(side.share for side in sides if side.share > 0)
    return _Sides((x[0], y[0]), (x[1], y[1]), shares, min(side.margin for side in sides), turn, rotation)


def _rotation(degrees: float) -> NDArray[np.float64]:
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
