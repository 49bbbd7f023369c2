"""Sheets of tiles and moving pictures, enlarged to be seen, that say what they show."""

from collections.abc import Sequence
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mura_jobs.synthetic.export.png import png_bytes

Images = NDArray[np.uint8]

SYNTHETIC = "synthetic radiographs, not of patients"

_GAP, _GREY = 2, 70


def sheet_png(rows: Sequence[Sequence[Images | None]], tile: int, description: str) -> bytes:
    """A PNG of tiles in rows; None leaves a place empty.

    Args:
        rows: uint8 (R, R) images, as many in each row.
        tile: side up to which images are enlarged, in pixels.
        description: what it shows, kept in the PNG.
    """
    shown = next(image for row in rows for image in row if image is not None)
    side = len(enlarged(shown, tile))
    step = side + _GAP
    sheet = np.full((len(rows) * step - _GAP, len(rows[0]) * step - _GAP), _GREY, np.uint8)
    for top, row in enumerate(rows):
        assert len(row) == len(rows[0])
        for left, image in enumerate(row):
            if image is not None:
                sheet[top * step : top * step + side, left * step : left * step + side] = enlarged(
                    image, tile
                )
    return png_bytes(sheet, {"Description": description})


def moving_picture(
    frames_TRR: Images, form: Literal["webp", "png", "gif"], frames_per_second: int, tile: int
) -> bytes:
    """Frames as an endless animation; every frame is kept pixel for pixel."""
    frames = [Image.fromarray(enlarged(frame, tile)) for frame in frames_TRR]
    if form == "webp":
        frames = [frame.convert("RGB") for frame in frames]
    options: dict[str, object] = {"lossless": True, "method": 4} if form == "webp" else {}
    file = BytesIO()
    frames[0].save(
        file,
        form.upper(),
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / frames_per_second),
        loop=0,
        **options,
    )
    return file.getvalue()


def enlarged(image_RR: Images, tile: int) -> Images:
    """The image with each pixel repeated as often as the side `tile` has room for."""
    factor = max(1, tile // len(image_RR))
    return image_RR.repeat(factor, axis=0).repeat(factor, axis=1)
