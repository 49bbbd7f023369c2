"""One raw file cleaned: the work that is spread over processes."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.cleaning.clean import Record, clean
from mura_jobs.radiographs.config import CleaningConfig
from mura_jobs.radiographs.decode import Unreadable, decode
from mura_jobs.radiographs.preview import thumbnail


@dataclass(frozen=True)
class CleanedFile:
    """What became of one file."""

    path: str
    digest: str
    """sha256 (hex) of the file."""
    pixels: NDArray[np.uint8] | None
    """None where the file is unreadable, and so are the next two."""
    record: Record | None
    before: NDArray[np.uint8] | None
    """The raw picture's thumbnail, if it was asked for."""
    problem: str
    """Why the file is unreadable."""


def clean_file(file: tuple[str, bytes, bool], *, resolution: int, config: CleaningConfig) -> CleanedFile:
    """Decode and clean a file, given as its path, its bytes and whether a thumbnail of it is wanted."""
    path, data, previewed = file
    digest = sha256(data).hexdigest()
    try:
        raw = decode(data)
    except Unreadable as error:
        return CleanedFile(path, digest, None, None, None, str(error))
    pixels, record = clean(raw, resolution, config)
    return CleanedFile(path, digest, pixels, record, thumbnail(raw) if previewed else None, "")
