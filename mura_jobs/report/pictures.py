"""Radiographs as PNG: grids of many, and pairs side by side."""

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]

_GAP = 2
"""White pixels between tiles."""


def grid(images_NHW: Images, columns: int, side: int) -> bytes:
    """A PNG of the images in reading order, each at most `side` pixels wide; empty places stay white."""
    tiles = np.stack([_shrink(image, side) for image in images_NHW])
    height, width = tiles.shape[1:]
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP), 255, np.uint8)
    for at, tile in enumerate(tiles):
        top, left = at // columns * (height + _GAP), at % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile
    return png(sheet)


def png(image: Images) -> bytes:
    """An 8-bit grey PNG."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, format="PNG", optimize=True)
    return out.getvalue()


def _shrink(image: Images, side: int) -> Images:
    if image.shape[0] <= side:
        return image
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
