"""Outlines in millimetres, and the thickness of the solids behind them on a pixel grid.

A bone is drawn from its outline: the distance to the outline, seen as the depth under the surface of a
rounded solid, gives the length of an X-ray's path through it. So cortex is brightest just inside the edge,
where rays run along it, as in a real radiograph.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

Points = NDArray[np.float64]
"""(n, 2) positions: x, y."""

Image = NDArray[np.float32]
"""(height, width)."""

_SHIFT = 4  # fractional bits of OpenCV's polygon corners


def spline(points: Points, *, closed: bool, per_segment: int = 8) -> Points:
    """A smooth curve through the points, parametrised centripetally, shape (n·per_segment [+ 1], 2)."""
    knots = np.vstack([points, points[:1]]) if closed else points
    time = np.concatenate([[0.0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(knots, axis=0), axis=1)))])
    curve = CubicSpline(time, knots, bc_type="periodic" if closed else "natural")
    inner = np.linspace(0, 1, per_segment, endpoint=False)
    samples = (time[:-1, None] + np.diff(time)[:, None] * inner).ravel()
    return np.asarray(curve(samples if closed else np.append(samples, time[-1])))


def tube(path: Points, widths: NDArray[np.float64]) -> Points:
    """Outline of a band of the given widths (mm) along a smooth path, with rounded ends."""
    centre = spline(path, closed=False)
    half = np.interp(np.linspace(0, 1, len(centre)), np.linspace(0, 1, len(widths)), widths) / 2
    tangent = np.gradient(centre, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    turn = np.linspace(np.pi / 2, -np.pi / 2, 7)[1:-1, None]
    end = centre[-1] + half[-1] * (np.cos(turn) * tangent[-1] + np.sin(turn) * normal[-1])
    start = centre[0] - half[0] * (np.cos(turn) * tangent[0] + np.sin(turn) * normal[0])
    left, right = centre + half[:, None] * normal, centre - half[:, None] * normal
    return np.vstack([left, end, right[::-1], start])


def ellipse(centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0) -> Points:
    """Outline of an ellipse turned by `degrees`."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    local = np.stack([radii[0] * np.cos(angle), radii[1] * np.sin(angle)], axis=1)
    return np.asarray(local @ rotation(degrees).T + np.asarray(centre))


def thicker(outline: Points, millimetres: float) -> Points:
    """A closed outline moved outwards along its normals."""
    tangent = np.roll(outline, -1, axis=0) - np.roll(outline, 1, axis=0)
    x, y = outline.T
    clockwise = np.sign(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    normal = clockwise * np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)
    length = np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    return np.asarray(outline + millimetres * normal / length)


def rotation(degrees: float) -> NDArray[np.float64]:
    """(2, 2) rotation, clockwise on the screen, where y points down."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@dataclass(frozen=True)
class Affine:
    """x ↦ linear · x + offset."""

    linear: NDArray[np.float64]
    offset: NDArray[np.float64]

    def __call__(self, points: Points) -> Points:
        """Map positions, shape (n, 2)."""
        return np.asarray(points @ self.linear.T + self.offset)

    def __matmul__(self, first: "Affine") -> "Affine":
        return Affine(self.linear @ first.linear, self.linear @ first.offset + self.offset)

    @cached_property
    def scale(self) -> float:
        """How much longer lengths become."""
        return float(np.sqrt(abs(np.linalg.det(self.linear))))

    @cached_property
    def inverse(self) -> "Affine":
        """The map back."""
        back = np.asarray(np.linalg.inv(self.linear), np.float64)
        return Affine(back, -back @ self.offset)


def about(centre: NDArray[np.float64], degrees: float, shift: NDArray[np.float64]) -> Affine:
    """Turn about `centre`, then move by `shift`."""
    turn = rotation(degrees)
    return Affine(turn, centre - turn @ centre + shift)


@dataclass(frozen=True)
class Grid:
    """A pixel grid laid over the anatomy: `to_px` maps millimetres to pixels."""

    to_px: Affine
    shape: tuple[int, int]
    """(height, width)."""

    def window(self, outline: Points, margin: float = 2.0) -> tuple[slice, slice] | None:
        """The part of the grid that holds an outline (mm), or None where it lies outside."""
        corners = self.to_px(outline)
        low = np.floor(corners.min(axis=0) - margin).astype(int)
        high = np.ceil(corners.max(axis=0) + margin).astype(int)
        (left, top), (right, bottom) = np.maximum(low, 0), np.minimum(high, (self.shape[1], self.shape[0]))
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None

    def fill(self, outline: Points, window: tuple[slice, slice]) -> NDArray[np.uint8]:
        """1 inside the outline (mm), 0 outside, on one window of the grid."""
        rows, columns = window
        mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        corners = self.to_px(outline) - (columns.start, rows.start)
        cv2.fillPoly(mask, [np.round(corners * 2**_SHIFT).astype(np.int32)], 1, cv2.LINE_8, _SHIFT)
        return mask

    def along(self, origin: Points, direction: Points, window: tuple[slice, slice]) -> Image:
        """Each pixel's position (mm) along an axis through `origin` (mm) with the unit vector `direction`."""
        back = self.to_px.inverse
        step = direction @ back.linear
        start = direction @ (back.offset - origin)
        rows, columns = window
        x = np.arange(columns.start, columns.stop, dtype=np.float32) * np.float32(step[0])
        y = np.arange(rows.start, rows.stop, dtype=np.float32) * np.float32(step[1])
        return np.asarray(y[:, None] + x[None, :] + np.float32(start), np.float32)


def depth_under(mask: NDArray[np.uint8], px_per_mm: float) -> Image:
    """Distance (mm) of each pixel inside the mask to the mask's edge; 0 outside."""
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(np.maximum(distance - 0.5, 0) / px_per_mm, np.float32)


def chord(depth: Image, radius: Image | float) -> Image:
    """Path (mm) of a ray `depth` mm inside the outline of a rounded solid of half thickness `radius`."""
    above = np.clip(depth, 0, radius)
    return np.asarray(2 * np.sqrt(above * (2 * radius - above)), np.float32)
