"""Shape: from a field of any size to the square that is packed."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from mura_jobs.radiographs.decode import Grey

Rule = Literal["pad", "crop", "stretch"]


def to_square(grey: Grey, resolution: int, rule: Rule) -> Grey:
    """A square picture, (resolution, resolution), antialiased.

    Args:
        grey: (height, width).
        resolution: side in pixels.
        rule: `pad` centres the whole picture on black, `crop` takes the centre of the longer side, `stretch`
            gives up the aspect ratio.
    """
    height, width = grey.shape
    if rule == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        grey = grey[top : top + side, left : left + side]
    elif rule == "pad":
        scale = resolution / max(height, width)
        size = (max(round(height * scale), 1), max(round(width * scale), 1))
        square = np.zeros((resolution, resolution), np.float32)
        top, left = (resolution - size[0]) // 2, (resolution - size[1]) // 2
        square[top : top + size[0], left : left + size[1]] = resize(grey, size)
        return square
    return resize(grey, (resolution, resolution))


def resize(grey: Grey, size: tuple[int, int]) -> Grey:
    """Resize to (height, width): the mean of what falls on a pixel, or cubic where it grows."""
    if size == grey.shape:
        return grey
    shrinks = size[0] <= grey.shape[0] and size[1] <= grey.shape[1]
    if shrinks:
        return np.asarray(cv2.resize(grey, size[::-1], interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(np.clip(cv2.resize(grey, size[::-1], interpolation=cv2.INTER_CUBIC), 0, 1), np.float32)


def quantise(grey: Grey) -> NDArray[np.uint8]:
    """Grey from 0 to 1 as whole numbers from 0 to 255."""
    return np.round(grey * 255).astype(np.uint8)


def sharpen(pixels: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Pillow's sharpness enhancement: 1 changes nothing, 2 is what the notebook used."""
    if factor == 1:
        return pixels
    return np.asarray(ImageEnhance.Sharpness(Image.fromarray(pixels)).enhance(factor))
