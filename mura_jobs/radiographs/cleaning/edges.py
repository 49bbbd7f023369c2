"""Edges of a field: sharp steps along straight lines beyond which there is hardly anything.

Sides are searched for in a working copy of the picture, turned so that they run down it. Its grey is spread
at both ends (see `field`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.decode import Grey

EDGE = 0.012
"""Step, in spread grey, from which a place counts as an edge."""
EVEN, EVEN_SHARE = 0.012, 0.3
"""Standard deviation, in spread grey, that only a surround has, and how much of a side must be an edge before
one: air shows few before black."""
SHARP = 0.52
"""How much of the change within five pixels happens at the side itself; skin is softer."""
BLANK = 0.13
"""Standard deviation, in spread grey, of what may lie beyond a side."""
FADING, SMOOTH = 0.3, 0.012
"""The same for unexposed film, which scatter darkens near the field, and the mean step of its pixels."""
INK, WRITTEN = 0.08, 0.12
"""Difference, in spread grey, from most of a margin, and how much of it may differ so: its writing."""
REACH = 0.45
"""Share of the picture from its edge in which a side may lie."""
INSET = 1.0
"""Pixels of the working copy that are cut off inside a side, where the surround shines through."""


class Side(NamedTuple):
    """Where the field begins or ends."""

    at: float
    """Pixels from the turned copy's edge."""
    share: float
    """How much of it is seen as an edge; 0 where there is no side."""
    margin: float
    """How far this, or the likeliest place's share, is from the threshold."""


@dataclass(frozen=True)
class Edges:
    """What speaks for sides that run down a turned copy, at each boundary of two columns."""

    sharp: NDArray[np.float32]
    """(height, width - 1) 1 where there is an edge that is sharp."""
    usable: NDArray[np.float32]
    """1 where the copy shows the picture."""
    beyond: tuple["Beyond", "Beyond"]
    """What lies left of each boundary, and, from the right, right of it."""

    @staticmethod
    def of(grey: Grey, inside: Grey) -> "Edges":
        """Of a turned copy, and where it shows the picture (1) or not (0)."""
        usable = inside[:, 1:] * inside[:, :-1]
        # Averaged along the side, a step of a grey level or two stands out of the noise.
        steps = np.abs(cv2.blur(np.diff(grey, axis=1), (1, 7))) * usable
        near, around = (cv2.blur(steps, (n, 1), borderType=cv2.BORDER_CONSTANT) * n for n in (3, 11))
        sharp = ((steps > EDGE) & (near >= SHARP * around)).astype(np.float32)
        beyond = (Beyond.of(grey, inside), Beyond.of(grey[:, ::-1], inside[:, ::-1]))
        return Edges(sharp, np.asarray(usable, np.float32), beyond)

    def sides(self, rows: tuple[float, float], least: float, stricter: float) -> tuple[Side, Side]:
        """Where the field begins and ends along x, within a range of rows.

        `least` and `stricter` together are how much of a side must be an edge.
        """
        top, bottom = max(int(rows[0]), 0), min(int(np.ceil(rows[1])), len(self.sharp))
        length = self.usable[top:bottom].sum(axis=0)
        share = self.sharp[top:bottom].sum(axis=0) / np.maximum(length, 1)
        share[length < 0.3 * (bottom - top)] = 0
        left, right = self.beyond
        return left.side(share, least, stricter), right.side(share[::-1], least, stricter)


@dataclass(frozen=True)
class Beyond:
    """What lies beyond each boundary, in the order in which one comes upon them."""

    blank: NDArray[np.bool_]
    even: NDArray[np.bool_]

    @staticmethod
    def of(grey: Grey, inside: Grey) -> "Beyond":
        """Of a turned copy, and where it shows the picture (1) or not (0)."""
        count = np.maximum(np.cumsum(inside.sum(axis=0)), 1)
        shown = grey * inside
        mean = np.cumsum(shown.sum(axis=0)) / count
        square = np.cumsum((grey * shown).sum(axis=0)) / count
        spread = np.sqrt(np.maximum(square - mean**2, 0))  # of everything up to and with a column
        rough = np.cumsum((np.abs(np.diff(grey, axis=0)) * inside[1:]).sum(axis=0)) / count
        before = np.maximum(np.arange(int(REACH * (grey.shape[1] - 1))) - 1, 0)
        first = int(np.searchsorted(count, grey.shape[0] / 4)) + 1
        paper = np.median(grey[:, :first][inside[:, :first] > 0]) if inside[:, :first].any() else 0.0
        written = np.cumsum(((np.abs(grey - paper) > INK) * inside).sum(axis=0)) / count
        blank = (spread < BLANK) | ((rough < SMOOTH) & (spread < FADING)) | (written < WRITTEN)
        return Beyond((blank & (count > 1))[before], (spread < EVEN)[before])

    def side(self, share: NDArray[np.float32], least: float, stricter: float) -> Side:
        """The likeliest side, given how much of each boundary is an edge and how much must be."""
        likely = np.where(self.blank, share[: len(self.blank)], 0)
        margin = likely - np.where(self.even, EVEN_SHARE, least) - stricter
        seen = margin >= 0
        if not seen.any():
            return Side(0.0, 0.0, -float(margin.max(initial=-1.0)))
        best = int(np.where(seen, likely, 0).argmax())
        return Side(best + 1 + INSET, float(likely[best]), float(margin[best]))
