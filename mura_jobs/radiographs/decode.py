"""From a picture file's bytes to grey values."""

from collections.abc import Callable
from io import BytesIO
from typing import Literal, NamedTuple
import warnings

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mura_jobs.errors import InputError

Grey = NDArray[np.float32]
"""(height, width), 0 black to 1 white."""

Photometric = Literal["MONOCHROME1", "MONOCHROME2"]
"""What a DICOM header says of its stored values: low ones are white (1) or black (2)."""

MAX_PIXELS = 50_000_000
"""A picture with more pixels is refused; the largest detectors have half of that."""

_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff")
_DICOM = slice(128, 132)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


class Unreadable(InputError):
    """A file that is no picture, or a damaged or impossible one. The message says why."""


class Picture(NamedTuple):
    """A decoded picture."""

    grey: Grey
    photometric: Photometric | None
    """What a DICOM header says; None for a PNG or JPEG, which can't say. `grey` is upright either way."""


def decode(data: bytes) -> Picture:
    """Grey values of a PNG or JPEG of any mode, turned as its EXIF says, or of a DICOM file.

    Colours become luma, transparency lies on black, 16 bits keep their precision: a deep picture's white is
    the largest number of as many bits as its brightest pixel needs, at least 8, since 10 to 14 bits are
    often stored in 16.

    Raises:
        Unreadable: empty, not a picture, truncated, damaged or too large.
    """
    if not data:
        raise Unreadable("the file is empty")
    if data[_DICOM] == b"DICM":
        from mura_jobs.radiographs.dicom import decode_dicom

        return decode_dicom(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged EXIF and the like, which common pictures have
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=("PNG", "JPEG")) as opened:
                require_pixels(opened.height, opened.width)
                opened.load()
                return Picture(_grey(opened, data), None)
    except UnidentifiedImageError:
        begins = data.startswith(_BEGINNINGS)
        problem = "damaged: its header can't be read" if begins else f"no PNG, JPEG or DICOM: {data[:8]!r}"
        raise Unreadable(problem) from None
    except Unreadable:
        raise
    except (
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise Unreadable(f"damaged: {error}") from None


def require_pixels(height: int, width: int) -> None:
    """Refuse a picture too large to be a radiograph, before memory is taken for it.

    Raises:
        Unreadable: it has more than `MAX_PIXELS`.
    """
    if height * width > MAX_PIXELS:
        raise Unreadable(f"{width} × {height} pixels; at most {MAX_PIXELS:,} are read")


def _grey(opened: Image.Image, data: bytes) -> Grey:
    if opened.mode.startswith("I"):
        values = np.array(opened, np.float32)
        if "transparency" in opened.info:
            values[values == opened.info["transparency"]] = 0
        return _upright(opened, _of_deep(values))
    if _sixteen_bit_colour(data):
        return _upright(opened, _of_deep(_deep_luma(data)))
    image: Image.Image = opened
    if "A" in opened.mode or "transparency" in opened.info:
        rgba = opened.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    return _upright(opened, np.asarray(image.convert("L"), np.float32) / np.float32(255))


def _of_deep(values: Grey) -> Grey:
    """Values of up to 16 bits, from 0 to 1."""
    bits = max(int(values.max()).bit_length(), 8)
    return values / np.float32(2**bits - 1)


def _sixteen_bit_colour(data: bytes) -> bool:
    """Whether it is a PNG of 16 bits that Pillow would open with 8: colour, or grey with transparency."""
    depth, colour = data[24:26]
    return data.startswith(b"\x89PNG") and depth == 16 and colour != 0


def _deep_luma(data: bytes) -> Grey:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise Unreadable("damaged: its 16-bit colours can't be read")
    luma = pixels[..., 2::-1] @ _LUMA
    return np.asarray(luma * (pixels[..., 3] / np.float32(65535)) if pixels.shape[2] == 4 else luma)


_TURNS: dict[int, Callable[[Grey], Grey]] = {
    2: np.fliplr,
    3: lambda grey: np.rot90(grey, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda grey: np.rot90(grey, -1),
    7: lambda grey: np.rot90(grey, 2).T,
    8: np.rot90,
}
"""What EXIF's orientations ask for (CIPA DC-008, tag 0x0112)."""


def _upright(opened: Image.Image, grey: Grey) -> Grey:
    turn = _TURNS.get(opened.getexif().get(0x0112, 1))
    return np.ascontiguousarray(turn(grey) if turn else grey)
