"""Many images in one PNG."""

from io import BytesIO
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def grid_png(images_NRR: NDArray[np.uint8]) -> bytes:
    """Images beside each other, row by row, about as wide as high; free places are black."""
    count, side = images_NRR.shape[:2]
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    tiles = np.zeros((rows * columns, side, side), np.uint8)
    tiles[:count] = images_NRR
    sheet = tiles.reshape(rows, columns, side, side).swapaxes(1, 2).reshape(rows * side, columns * side)
    file = BytesIO()
    Image.fromarray(sheet).save(file, "PNG")
    return file.getvalue()
