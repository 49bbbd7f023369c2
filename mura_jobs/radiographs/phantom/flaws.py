"""MURA's flaws: how a picture was framed, collimated, turned, marked, exposed and scanned."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from mura_jobs.radiographs.phantom.geometry import Affine, Grid, Image, Points, rotation
from mura_jobs.radiographs.phantom.marker import Marker
from mura_jobs.radiographs.phantom.physics import Exposure

Framing = Literal["full", "framed", "collimated"]
Brightness = Literal["usual", "dark", "bright"]


@dataclass(frozen=True)
class Flaws:
    """Everything about one picture that has nothing to do with the patient's health."""

    aspect: float
    """Shorter against longer side."""
    upright: bool
    """Whether the longer side is the vertical one."""
    framing: Framing
    margins: tuple[float, ...]
    """Left, top, right, bottom of the exposed field, as fractions of the picture's sides."""
    rotation: float
    """Degrees by which the field, with all that is in it, lies turned in the picture, clockwise."""
    tilt: float
    """Degrees by which the patient leans within the field."""
    quarter_turns: int
    """Times that the whole picture was turned by 90° clockwise."""
    surround: float | None
    """Grey (0 to 1) of what is outside the field; None where the film was left unexposed there."""
    inverted: bool
    rgb: bool
    brightness: Brightness
    exposure: Exposure
    width_mm: float
    """Millimetres along the field's longer side."""
    centre: tuple[float, float]
    """What the beam was aimed at, mm in the frame of the anatomy."""
    marker: Marker | None

    @staticmethod
    def draw(random: np.random.Generator, *, flaws: float, noise: float, side: str) -> "Flaws":
        """Flaws as often as in MURA times `flaws`. The number of draws never depends on what was drawn."""
        chance = random.uniform(size=8)
        framing: Framing = "full"
        if chance[0] < 0.32 * flaws:
            framing = "framed" if chance[0] < 0.14 * flaws else "collimated"
        turned = framing != "full" and chance[1] < 0.5
        margins, angle = random.uniform(size=4), random.choice((-1, 1)) * random.uniform(2, 22)
        if framing == "full":
            margins = np.zeros(4)
        elif turned:
            margins = 0.10 + 0.06 * margins + 0.004 * abs(angle)
        else:
            margins = np.where(margins < 0.3, 0.0, 0.03 + 0.2 * (margins - 0.3))
            margins[int(random.integers(4))] += 0.06
        brightness: Brightness = "usual"
        if chance[2] < 0.24 * flaws:
            brightness = "dark" if chance[2] < 0.15 * flaws else "bright"
        grey = float(np.array([0.0, 0.0, 0.03, 0.1, 0.35, 1.0])[random.integers(6)])
        return Flaws(
            aspect=_aspect(random),
            upright=bool(chance[3] < 0.55),
            framing=framing,
            margins=tuple(float(margin) for margin in margins),
            rotation=float(angle) if turned else 0.0,
            tilt=float(random.normal(0, 4)),
            quarter_turns=int(random.integers(1, 4)) if chance[4] < 0.03 * flaws else 0,
            surround=None if framing == "collimated" and chance[5] < 0.3 else grey,
            inverted=bool(chance[6] < 0.08 * flaws),
            rgb=bool(random.uniform() < 0.15),
            brightness=brightness,
            exposure=_exposure(random, brightness, noise),
            width_mm=float(random.uniform(225, 320)),
            centre=(float(random.normal(30, 12)), float(random.normal(34, 10))),
            marker=Marker.draw(random, side) if chance[7] < 0.8 * flaws else None,
        )

    def field(self, shape: tuple[int, int]) -> Points:
        """Corners (4, 2) in pixels of the exposed field in a picture of a shape, clockwise."""
        height, width = shape
        left, top, right, bottom = self.margins
        box = np.array([(left, top), (1 - right, top), (1 - right, 1 - bottom), (left, 1 - bottom)]) * (
            width,
            height,
        )
        centre = box.mean(axis=0)
        return np.asarray((box - centre) @ rotation(self.rotation).T + centre)


def picture_shape(flaws: Flaws, long_side: int) -> tuple[int, int]:
    """(height, width) in pixels before quarter turns; MURA's pictures are 512 × 89 to 512."""
    short = max(round(flaws.aspect * long_side), round(89 / 512 * long_side))
    return (long_side, short) if flaws.upright else (short, long_side)


def lay(flaws: Flaws, shape: tuple[int, int], *, mirrored: bool) -> Grid:
    """The pixel grid of a picture: field, rotation and, for a left shoulder, mirroring included."""
    corners = flaws.field(shape)
    sides = np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[3] - corners[0])
    scale = max(sides) / flaws.width_mm
    turn = rotation(flaws.rotation + flaws.tilt) * scale @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    return Grid(Affine(turn, corners.mean(axis=0) - turn @ np.array(flaws.centre)), shape)


def field_mask(flaws: Flaws, shape: tuple[int, int]) -> Image:
    """1 inside the exposed field, 0 outside, with soft edges, shape (height, width)."""
    if flaws.framing == "full":
        return np.ones(shape, np.float32)
    mask = np.zeros(shape, np.uint8)
    corners = np.round((flaws.field(shape) - 0.5) * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, corners, 255, cv2.LINE_AA, 4)
    return np.asarray(mask / 255, np.float32)


def _aspect(random: np.random.Generator) -> float:
    """Most pictures are nearly square, some are narrow, a few are strips."""
    wide, narrow, strip = random.uniform(0.76, 1.0), random.uniform(0.5, 0.76), random.uniform(89 / 512, 0.4)
    return float((wide, narrow, strip)[random.choice(3, p=(0.79, 0.2, 0.01))])


def _exposure(random: np.random.Generator, brightness: Brightness, noise: float) -> Exposure:
    ranges = {
        "usual": ((0.2, 0.6), (4.2, 5.6), (0.9, 1.25)),
        "dark": ((0.6, 1.0), (7.0, 10.0), (1.1, 1.5)),
        "bright": ((-0.4, 0.1), (2.8, 3.6), (0.6, 0.85)),
    }
    black, latitude, gamma = (float(random.uniform(*limits)) for limits in ranges[brightness])
    heel, dose = random.normal(0, 0.12, size=2), float(np.exp(random.normal(0, 0.3)))
    return Exposure(
        scatter=float(random.uniform(0.3, 1.0)),
        heel=(float(heel[0]), float(heel[1])),
        blur=float(random.uniform(0.25, 0.45)),
        black=black,
        latitude=latitude,
        gamma=gamma,
        noise=noise * dose,
    )
