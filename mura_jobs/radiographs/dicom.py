"""DICOM: the one frame of a radiograph, as its header says it is shown (PS3.3 C.7.6.3, C.11.1 and C.11.2)."""

from io import BytesIO
from typing import Any, get_args
import warnings

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut, apply_windowing

from mura_jobs.radiographs.decode import Photometric, Picture, Unreadable, require_pixels

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META = slice(132, 1024)  # where a file says its transfer syntax


def decode_dicom(data: bytes) -> Picture:
    """Grey values of a MONOCHROME1 or MONOCHROME2 picture of one frame.

    Stored values go through the modality LUT or rescale, then through the first VOI LUT or else the first
    window; without either, the range of the values that are no padding is shown. MONOCHROME1 is turned, so
    that 1 is white. Padding becomes black.

    Raises:
        Unreadable: damaged, not one grey frame, too large, or compressed in a way that no codec here reads.
    """
    if _DEFLATED in data[_META]:
        raise Unreadable("DICOM of the deflated transfer syntax is not read: it could unpack to any size")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # header values against the standard's letter, which are common
            dataset = dcmread(BytesIO(data))
            return _shown(dataset)
    except Unreadable:
        raise
    except Exception as error:  # noqa: BLE001 - damaged headers fail in pydicom in as many ways as there are
        raise Unreadable(f"damaged DICOM: {_line(error)}") from None


def _shown(dataset: Dataset) -> Picture:
    """What the header does to each value that can occur, then looked up for each pixel: little memory."""
    photometric = _require_radiograph(dataset)
    stored = _pixels(dataset)
    low, high = int(stored.min()), int(stored.max())
    levels = np.arange(low, high + 1).astype(stored.dtype)
    numbers = (stored.astype(np.int32) - low).astype(np.uint16)
    padding = _padding(dataset, levels)
    occurs = (np.bincount(numbers.ravel(), minlength=len(levels)) > 0) & ~padding
    values = apply_modality_lut(levels, dataset)
    if dataset.get("VOILUTSequence"):
        grey = _looked_up(values, dataset)
    elif "WindowCenter" in dataset and "WindowWidth" in dataset:
        black, white = apply_windowing(np.array([-np.inf, np.inf]), dataset)
        grey = (apply_windowing(values, dataset) - black) / (white - black)
    else:
        kept = values[occurs if occurs.any() else slice(None)].astype(np.float64)
        grey = np.clip((values - kept.min()) / max(kept.max() - kept.min(), 1e-9), 0, 1)
    if occurs.sum() > 1 and np.ptp(grey[occurs]) == 0:
        raise Unreadable(
            f"the window of its header (centre {dataset.get('WindowCenter')}, width "
            f"{dataset.get('WindowWidth')}) leaves one grey value of {occurs.sum()}"
        )
    if photometric == "MONOCHROME1":
        grey = 1 - grey
    grey[padding] = 0
    return Picture(grey.astype(np.float32)[numbers], photometric)


def _require_radiograph(dataset: Dataset) -> Photometric:
    if "PixelData" not in dataset:
        named = dataset.get("SOPClassUID", "no class")
        raise Unreadable(f"DICOM without a picture, or cut off before it ({named})")
    frames, samples = int(dataset.get("NumberOfFrames") or 1), dataset.get("SamplesPerPixel", 1)
    if frames != 1:
        raise Unreadable(f"DICOM of {frames} frames; a radiograph has one: export the frame that is meant")
    photometric = dataset.get("PhotometricInterpretation")
    known = get_args(Photometric)
    if photometric not in known or samples != 1:
        raise Unreadable(
            f"DICOM of {samples} samples a pixel, {photometric}; a radiograph is {' or '.join(known)}"
        )
    if dataset.BitsAllocated > 16:
        raise Unreadable(f"DICOM of {dataset.BitsAllocated} bits a pixel; a radiograph has 8 or 16")
    require_pixels(dataset.Rows, dataset.Columns)
    return known[known.index(photometric)]  # type: ignore[no-any-return] # one of the literals


def _pixels(dataset: Dataset) -> NDArray[Any]:
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_compressed and not _is_decodable(syntax):
        raise Unreadable(f"DICOM of the transfer syntax {syntax.name} ({syntax}); no codec here reads it")
    try:
        return dataset.pixel_array
    except Exception as error:  # noqa: BLE001 - each codec has errors of its own
        raise Unreadable(f"damaged DICOM of the transfer syntax {syntax.name}: {_line(error)}") from None


def _is_decodable(syntax: Any) -> bool:  # noqa: ANN401 - pydicom's UID
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _padding(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Where no detector was: stored values that stand for nothing (PS3.3 C.7.5.1.1.2)."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, np.bool_)
    low, high = sorted((value, dataset.get("PixelPaddingRangeLimit", value)))
    return np.asarray((stored >= low) & (stored <= high))


def _looked_up(values: NDArray[Any], dataset: Dataset) -> NDArray[np.float64]:
    """The first VOI LUT applied; pydicom's own wraps around where entries have fewer bits than values."""
    item = dataset.VOILUTSequence[0]
    entries, first, bits = item.LUTDescriptor
    entries = entries or 2**16
    table = item.LUTData
    if isinstance(table, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        table = np.frombuffer(table, np.uint8 if len(table) < 2 * entries else f"{order}u2")
    numbers = np.clip(np.rint(values).astype(np.int64) - first, 0, entries - 1)
    return np.asarray(np.asarray(table, np.float64)[numbers] / (2**bits - 1))


def _line(error: Exception) -> str:
    return " ".join(f"{error}".split()) or type(error).__name__
