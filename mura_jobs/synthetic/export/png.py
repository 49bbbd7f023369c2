"""A radiograph as a PNG that says in its text chunks what it is."""

from collections.abc import Mapping
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

SYNTHETIC = "synthetic radiograph, not of a patient"
REAL = "radiograph of a patient, cleaned and resized"


def png_bytes(image_RR: NDArray[np.uint8], text: Mapping[str, str]) -> bytes:
    """A grey PNG with text chunks in the order given; the same arguments give the same bytes.

    Args:
        image_RR: uint8 (height, width).
        text: keywords (Latin-1, at most 79 characters) and what they say.
    """
    chunks = PngInfo()
    for keyword, value in text.items():
        chunks.add_itxt(keyword, value)
    file = BytesIO()
    Image.fromarray(image_RR).save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


def description(row: Mapping[str, object], source: str, digest: str) -> dict[str, str]:
    """What a PNG says about its image: plainly what it is, then every column of its index row.

    Args:
        row: the image's row in a packed data set's index.
        source: the data set's place in its run.
        digest: the data set's identity, the digest of its manifest.
    """
    about = {
        "Description": SYNTHETIC if is_synthetic(row) else REAL,
        "source": source,
        "source digest": digest,
    }
    return about | {str(name): _written(value) for name, value in row.items() if name not in ("shard", "row")}


def is_synthetic(row: Mapping[str, object]) -> bool:
    """Whether a row's image is made, not taken: its patient is called "synthetic-…"."""
    return str(row["patient"]).startswith("synthetic-")


def _written(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
