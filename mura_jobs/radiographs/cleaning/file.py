"""One raw file cleaned: the work that is spread over processes."""

from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.cleaning.clean import Record, clean
from mura_jobs.radiographs.config import CleaningConfig
from mura_jobs.radiographs.decode import Photometric, Picture, Unreadable, decode
from mura_jobs.radiographs.preview import thumbnail
from mura_jobs.radiographs.sketch import sketch


@dataclass(frozen=True)
class CleanedFile:
    """What became of one readable file."""

    path: str
    digest: str
    """sha256 (hex) of the file."""
    photometric: Photometric | None
    pixels: NDArray[np.uint8]
    record: Record
    sketch: NDArray[np.uint8]
    """What duplicates are found by."""
    before: NDArray[np.uint8]
    """The raw picture's thumbnail."""


@dataclass(frozen=True)
class UnreadableFile:
    """One that can't be read, and why."""

    path: str
    digest: str
    """sha256 (hex) of the file; empty where its bytes could not even be fetched."""
    problem: str


def clean_file(
    file: tuple[str, bytes | Unreadable], *, resolution: int, config: CleaningConfig
) -> CleanedFile | UnreadableFile:
    """Decode and clean a file, given as its path and its bytes."""
    path, data = file
    if isinstance(data, Unreadable):
        return UnreadableFile(path, "", str(data))
    digest = sha256(data).hexdigest()
    try:
        raw = decode(data)
    except Unreadable as error:
        return UnreadableFile(path, digest, str(error))
    pixels, record = clean_picture(raw, resolution, config)
    turn = record.inverted and raw.photometric is None
    return CleanedFile(
        path=path,
        digest=digest,
        photometric=raw.photometric,
        pixels=pixels,
        record=record,
        sketch=sketch(raw.grey, record, turn=turn),
        before=thumbnail(raw.grey),
    )


def clean_picture(raw: Picture, resolution: int, config: CleaningConfig) -> tuple[NDArray[np.uint8], Record]:
    """Clean a decoded picture; what a DICOM header says of its photometry is not guessed again."""
    if raw.photometric is None:
        return clean(raw.grey, resolution, config)
    pixels, record = clean(raw.grey, resolution, config.model_copy(update={"invert": False}))
    return pixels, replace(
        record,
        inverted=raw.photometric == "MONOCHROME1",
        inverted_confidence=1.0,
        confidence=record.confidence / record.inverted_confidence,
    )
