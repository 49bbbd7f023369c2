"""Side markers: letters of lead or of the scanner's, in many hands, some cut off by the field's edge."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.phantom.geometry import Image, Points, rotation

Frame = Literal["none", "ring", "box", "plate", "cutout"]

FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
)
WORDS = ("LAT", "PORTABLE", "ERECT", "STANDING", "12.04.09", "AP", "INT ROT", "3", "WB")


@dataclass(frozen=True)
class Marker:
    """The letter of the side, and perhaps the technician's initials or a word, in the picture."""

    text: tuple[str, ...]
    """Lines; the first is the side's letter or word."""
    place: tuple[float, float]
    """Centre, as fractions of the field's width and height."""
    height: float
    """Height of a letter of the first line as a fraction of the field's shorter side."""
    degrees: float
    font: int
    stroke: int
    """Width of a stroke, in pixels of a letter 44 pixels high."""
    hollow: bool
    """Letters cast as outlines."""
    frame: Frame
    """Around the text: a ring, a box's outline, a dark plate, or a bright plate with cut-out text."""
    ink: float | None
    """Grey (0 to 1) of what the scanner wrote; None where the marker is cast in lead."""
    lead: float
    """e-foldings that the lead takes."""

    @staticmethod
    def draw(random: np.random.Generator, side: str) -> "Marker":
        """A marker. Most stand clear at the lateral edge, some over anatomy or cut off by an edge."""
        text = _text(random, side)
        lateral = random.uniform(0.06, 0.2)
        x = lateral if side == "R" else 1 - lateral
        y = random.uniform(0.08, 0.5) if random.uniform() < 0.8 else random.uniform(0.5, 0.92)
        style = random.uniform(size=5)
        clipped, anywhere = random.uniform(-0.02, 0.03), random.uniform(0.05, 0.95, size=2)
        if style[0] < 0.12:
            edge = int(random.integers(4))
            x, y = ((clipped, y), (1 - clipped, y), (anywhere[0], clipped), (anywhere[0], 1 - clipped))[edge]
        elif style[0] < 0.3:
            x, y = anywhere
        height = float(random.uniform(0.045, 0.1))
        frames: tuple[Frame, ...] = ("none", "ring", "box", "plate", "cutout")
        frame = frames[int(random.choice(5, p=(0.62, 0.14, 0.1, 0.09, 0.05)))]
        grey = float(random.uniform(0.35, 1.0)) if style[3] < 0.4 else 1.0
        return Marker(
            text=text,
            place=(float(x), float(y)),
            height=height * 0.6 if len(text[0]) > 2 else height,
            degrees=float(random.normal(0, 12)) if style[1] < 0.8 else float(random.choice((-90, 90, 180))),
            font=int(random.choice(FONTS)),
            stroke=int(random.integers(4, 10)),
            hollow=bool(style[4] < 0.15) and frame != "cutout",
            frame=frame,
            ink=grey if style[2] < 0.5 else None,
            lead=float(random.uniform(1, 6)),
        )


def marker_masks(marker: Marker, field: Points, shape: tuple[int, int]) -> tuple[Image, Image, Points]:
    """The marker in a picture whose exposed field has the given corners.

    Returns:
        The ink and the dark plate under it (0 to 1, shape (height, width)), and the ink's points (n, 2) in
        pixels, those beyond the field's edge included.
    """
    ink, plate = _stamp(marker)
    x_axis, y_axis = field[1] - field[0], field[3] - field[0]
    centre = field[0] + marker.place[0] * x_axis + marker.place[1] * y_axis
    scale = marker.height * float(min(np.linalg.norm(x_axis), np.linalg.norm(y_axis))) / _LETTER
    middle = np.array([ink.shape[1], ink.shape[0]]) / 2
    turn = rotation(marker.degrees) * scale
    matrix = np.column_stack([turn, centre - turn @ middle])
    y, x = np.nonzero(ink > 0.5)

    def laid(stamp: Image) -> Image:
        blurred = cv2.GaussianBlur(stamp, (0, 0), max(0.4 / scale, 0.5))
        return np.asarray(cv2.warpAffine(blurred, matrix, shape[::-1], flags=cv2.INTER_LINEAR), np.float32)

    return laid(ink), laid(plate), np.asarray(np.stack([x, y], 1) @ turn.T + matrix[:, 2])


def within(points: Points, field: Points) -> NDArray[np.bool_]:
    """Which points (n, 2) lie in a field given by its corners."""
    axes = np.stack([field[1] - field[0], field[3] - field[0]])
    share = (points - field[0]) @ axes.T / (axes**2).sum(axis=1)
    return np.asarray(((share >= 0) & (share <= 1)).all(axis=1))


_LETTER = 44  # pixels of a capital letter's height on a stamp
_LINE = 58  # pixels from one line to the next


def _stamp(marker: Marker) -> tuple[Image, Image]:
    """Ink and dark plate (0 to 1), equally large, upright."""
    scales = [2.0 if line == 0 else 1.4 for line in range(len(marker.text))]
    widths = [
        cv2.getTextSize(text, marker.font, scale, marker.stroke)[0][0]
        for text, scale in zip(marker.text, scales, strict=True)
    ]
    wide, high = max(widths), _LETTER + _LINE * (len(widths) - 1)
    margin = 16
    if marker.frame == "ring":
        margin = int(np.hypot(wide, high) / 2 - min(wide, high) / 2) + 18
    canvas = (high + 2 * margin, wide + 2 * margin)
    text = _write(marker, scales, widths, canvas, margin=margin, stroke=marker.stroke)
    if marker.hollow:
        text = text - np.minimum(text, _write(marker, scales, widths, canvas, margin=margin, stroke=1))
    plate = np.zeros(canvas, np.uint8)
    if marker.frame == "ring":
        reach = int(np.hypot(wide, high) / 2) + 8
        cv2.circle(text, (canvas[1] // 2, canvas[0] // 2), reach, 255, 4, cv2.LINE_AA)
    elif marker.frame == "box":
        cv2.rectangle(text, (4, 4), (canvas[1] - 5, canvas[0] - 5), 255, 4)
    elif marker.frame == "plate":
        plate[:] = 255
    elif marker.frame == "cutout":
        text = 255 - text
    clear = np.pad(np.stack([text, plate]), ((0, 0), (6, 6), (6, 6)))  # so that blur fades within the stamp
    ink, dark = np.asarray(clear / 255, np.float32)
    return ink, dark


def _write(
    marker: Marker,
    scales: list[float],
    widths: list[int],
    canvas: tuple[int, int],
    *,
    margin: int,
    stroke: int,
) -> NDArray[np.uint8]:
    written = np.zeros(canvas, np.uint8)
    for line, (text, scale, width) in enumerate(zip(marker.text, scales, widths, strict=True)):
        place = ((canvas[1] - width) // 2, margin + _LETTER + line * _LINE)
        cv2.putText(written, text, place, marker.font, scale, 255, stroke, cv2.LINE_AA)
    return written


def _text(random: np.random.Generator, side: str) -> tuple[str, ...]:
    letters = np.array(list("ABCDEGHJKMNPRSTW"))
    initials = "".join(random.choice(letters, int(random.integers(2, 4))))
    word = str(random.choice(WORDS))
    long = "RIGHT" if side == "R" else "LEFT"
    style = random.uniform(size=2)
    first = side if style[0] < 0.85 else (long if style[0] < 0.93 else f"{side}T")
    if style[1] < 0.4:
        return first, initials
    return (first, word) if style[1] < 0.5 else (first,)
