"""What cleaning did, for the eye: the doubtful pictures before and after, and all pictures' brightness."""

from io import BytesIO

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from mura_jobs.radiographs.decode import Grey

CELL = 128
"""Side of one picture on the sheet (px)."""
PAIRS = 36
"""Pairs on a sheet."""
BINS = 64
"""Bars of a histogram."""
_COLUMNS, _GAP, _TITLE, _CHART = 6, 6, 28, 110
_GROUND, _INK, _FAINT = 70, 235, 150


class Doubtful:
    """The raw thumbnails of the pictures whose cleaning is least certain, of all that were offered.

    Which are kept depends on the pictures alone, so parts can be put together in any order.
    """

    def __init__(self) -> None:
        """Hold none yet."""
        self._held: dict[tuple[float, str], NDArray[np.uint8]] = {}

    def offer(self, key: str, confidence: float, before: NDArray[np.uint8]) -> None:
        """Keep a thumbnail if it is among the PAIRS of least confidence."""
        self._held[confidence, key] = before
        if len(self._held) > PAIRS:
            del self._held[max(self._held)]

    def thumbnails(self) -> dict[str, NDArray[np.uint8]]:
        """By key, the least certain first."""
        return {key: self._held[confidence, key] for confidence, key in sorted(self._held)}


def thumbnail(raw: Grey) -> NDArray[np.uint8]:
    """A raw picture as it shows on the sheet: uint8 (CELL, CELL), aspect kept, on mid-grey."""
    scale = CELL / max(raw.shape)
    size = (max(round(raw.shape[1] * scale), 1), max(round(raw.shape[0] * scale), 1))
    rule = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = np.clip(cv2.resize(raw, size, interpolation=rule), 0, 1)
    cell = np.full((CELL, CELL), _GROUND, np.uint8)
    top, left = (CELL - size[1]) // 2, (CELL - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = np.round(small * 255)
    return cell


def preview(
    pairs: list[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]], before: ArrayLike, after: ArrayLike
) -> bytes:
    """The preview as PNG.

    Args:
        pairs: of each picture shown a caption of at most two lines, the raw thumbnail, and the packed
            picture, which stands on its right.
        before: (n,) mean grey, 0 to 1, of all raw pictures' fields.
        after: (n,) the same of the cleaned ones.
    """
    rows = -(-len(pairs) // _COLUMNS)
    width, height = 2 * CELL + _GAP, CELL + _TITLE + _GAP
    whole = _COLUMNS * (width + _GAP) + _GAP
    sheet = Image.new("L", (whole, rows * height + _CHART + 3 * _TITLE), _GROUND)
    pen = ImageDraw.Draw(sheet)
    for number, (caption, raw, packed) in enumerate(pairs):
        left, top = _GAP + number % _COLUMNS * (width + _GAP), _GAP + number // _COLUMNS * height
        pen.text((left, top), caption, fill=_INK, spacing=2)
        sheet.paste(Image.fromarray(raw), (left, top + _TITLE))
        rule = Image.Resampling.BOX if len(packed) > CELL else Image.Resampling.NEAREST
        sheet.paste(Image.fromarray(packed).resize((CELL, CELL), rule), (left + CELL, top + _TITLE))
    half = (whole - 3 * _GAP) // 2
    for number, (name, values) in enumerate((("before", before), ("after", after))):
        place = (_GAP + number * (half + _GAP), rows * height + _TITLE, half, _CHART)
        _histogram(pen, place, f"mean grey {name} cleaning", np.asarray(values, np.float64))
    file = BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def _histogram(
    pen: ImageDraw.ImageDraw, place: tuple[int, int, int, int], title: str, values: NDArray[np.float64]
) -> None:
    """Bars from 0 to 1 on a line with ticks; `place` is left, top, width and height in pixels."""
    left, top, width, height = place
    counts, _ = np.histogram(values, BINS, (0, 1))
    spread = f": {values.mean():.2f} ± {values.std():.2f}" if len(values) else ""
    pen.text((left, top - _TITLE // 2), f"{title}{spread} over {len(values):,} pictures", fill=_INK)
    foot = top + height
    for bar, tall in enumerate(counts / max(counts.max(), 1) * (height - _GAP)):
        start = left + bar * width // BINS
        if tall:
            pen.rectangle(
                (start, foot - max(tall, 1), left + (bar + 1) * width // BINS - 2, foot), fill=_FAINT
            )
    pen.line((left, foot, left + width, foot), fill=_INK)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + tick * width
        pen.line((x, foot, x, foot + 4), fill=_INK)
        pen.text((x - 24 * tick, foot + 4), f"{tick:g}", fill=_INK)
