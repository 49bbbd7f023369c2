"""Pictures of the page: what they are called, what they show in words, and grids of radiographs."""

from base64 import b64encode
from dataclasses import dataclass
import io

import cv2
from matplotlib import colormaps
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]

_GAP = 2
"""White pixels between tiles."""

_PAIRS = 2
"""Images with their maps side by side in a row."""


@dataclass(frozen=True)
class Picture:
    """A picture as a file beside the page and as part of it."""

    name: str
    """File name, with .svg or .png."""
    data: bytes
    alt: str
    """What it shows, for those who do not see it."""
    caption: str = ""

    @property
    def uri(self) -> str:
        """The picture itself as a data URI."""
        kind = "svg+xml" if self.name.endswith(".svg") else "png"
        return f"data:image/{kind};base64,{b64encode(self.data).decode()}"


def grid(images_NRR: Images, columns: int, side: int) -> bytes:
    """A PNG of the images in reading order, each at most `side` pixels wide; empty places stay white."""
    out = io.BytesIO()
    tiles = np.stack([_shrink(image, side) for image in images_NRR])
    Image.fromarray(_sheet(tiles, columns)).save(out, format="PNG", optimize=True)
    return out.getvalue()


def overlay_pairs(images_NRR: Images, maps_NRR: Images, side: int) -> bytes:
    """A PNG of images and, right of each, the same under its map: weak blue, strong yellow, 0 bare."""
    tiles = []
    for image, heat in zip(images_NRR, maps_NRR, strict=True):
        grey = np.repeat(_shrink(image, side)[:, :, None], 3, axis=2)
        strength = _shrink(heat, side)[:, :, None] / 255
        colours = colormaps["cividis"](strength[:, :, 0])[:, :, :3] * 255
        alpha = 0.65 * strength
        tiles += [grey, ((1 - alpha) * grey + alpha * colours).round().astype(np.uint8)]
    out = io.BytesIO()
    Image.fromarray(_sheet(np.stack(tiles), _PAIRS * 2)).save(out, format="PNG", optimize=True)
    return out.getvalue()


def _sheet(tiles_NHW: Images, columns: int) -> Images:
    """Tiles (N, H, W) or (N, H, W, 3) in reading order on white."""
    height, width = tiles_NHW.shape[1:3]
    columns = min(columns, len(tiles_NHW))
    rows = -(-len(tiles_NHW) // columns)
    size = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP)
    sheet = np.full((*size, *tiles_NHW.shape[3:]), 255, np.uint8)
    for at, tile in enumerate(tiles_NHW):
        top, left = at // columns * (height + _GAP), at % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _shrink(image: Images, side: int) -> Images:
    if image.shape[0] <= side:
        return image
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
