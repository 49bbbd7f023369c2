"""Pictures of the page: what they are called, what they show in words, and grids of radiographs."""

from base64 import b64encode
from dataclasses import dataclass
import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]

_GAP = 2
"""White pixels between tiles."""


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
    tiles = np.stack([_shrink(image, side) for image in images_NRR])
    height, width = tiles.shape[1:]
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP), 255, np.uint8)
    for at, tile in enumerate(tiles):
        top, left = at // columns * (height + _GAP), at % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, format="PNG", optimize=True)
    return out.getvalue()


def _shrink(image: Images, side: int) -> Images:
    if image.shape[0] <= side:
        return image
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
