"""From a picture file's bytes to grey values."""

from io import BytesIO
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mura_jobs.errors import InputError

Grey = NDArray[np.float32]
"""(height, width), 0 black to 1 white."""

MAX_PIXELS = 100_000_000
"""A picture with more pixels is refused; the largest detectors have a fifth of that."""


_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff")


class Unreadable(InputError):
    """A file that is no picture, or a damaged or impossible one. The message says why."""


def decode(data: bytes) -> Grey:
    """Grey values of a PNG or JPEG of any mode, turned as its EXIF says.

    Colours become luma (ITU-R 601), transparency lies on black, 16 bits keep their precision.

    Raises:
        Unreadable: empty, not a picture, truncated, damaged or too large.
    """
    if not data:
        raise Unreadable("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=("PNG", "JPEG")) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise Unreadable(
                        f"{opened.width} × {opened.height} pixels; at most {MAX_PIXELS:,} are read"
                    )
                opened.load()
                return _grey(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError:
        begins = data.startswith(_BEGINNINGS)
        problem = "damaged: its header can't be read" if begins else f"neither PNG nor JPEG: {data[:8]!r}"
        raise Unreadable(problem) from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"damaged: {error}") from None


def _grey(image: Image.Image) -> Grey:
    if image.mode.startswith("I"):
        return np.asarray(np.clip(np.asarray(image, np.float32) / 65535, 0, 1))
    if "A" in image.mode or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    return np.asarray(np.asarray(image.convert("L"), np.float32) / 255)
