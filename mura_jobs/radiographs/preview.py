"""The before/after contact sheet."""

from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mura_jobs.radiographs.decode import Grey

CELL = 128
"""Side of one picture on the sheet (px)."""
PAIRS = 24
"""Pairs on a sheet."""
_COLUMNS, _GAP, _TITLE = 6, 6, 16


def thumbnail(raw: Grey) -> NDArray[np.uint8]:
    """A raw picture as it shows on the sheet: uint8 (CELL, CELL), aspect kept, on mid-grey."""
    scale = CELL / max(raw.shape)
    size = (max(round(raw.shape[1] * scale), 1), max(round(raw.shape[0] * scale), 1))
    rule = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = np.clip(cv2.resize(raw, size, interpolation=rule), 0, 1)
    cell = np.full((CELL, CELL), 70, np.uint8)
    top, left = (CELL - size[1]) // 2, (CELL - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = np.round(small * 255)
    return cell


def contact_sheet(pairs: list[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]) -> bytes:
    """PNG of captioned pairs: the raw picture's thumbnail on the left, the packed picture on its right."""
    rows = max(-(-len(pairs) // _COLUMNS), 1)
    width, height = 2 * CELL + _GAP, CELL + _TITLE + _GAP
    sheet = Image.new("L", (_COLUMNS * (width + _GAP) + _GAP, rows * height + _GAP), 70)
    pen = ImageDraw.Draw(sheet)
    for number, (caption, before, after) in enumerate(pairs):
        left, top = _GAP + number % _COLUMNS * (width + _GAP), _GAP + number // _COLUMNS * height
        pen.text((left, top), caption, fill=230)
        sheet.paste(Image.fromarray(before), (left, top + _TITLE))
        shown = Image.fromarray(after).resize(
            (CELL, CELL), Image.Resampling.BOX if len(after) > CELL else Image.Resampling.NEAREST
        )
        sheet.paste(shown, (left + CELL, top + _TITLE))
    file = BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()
