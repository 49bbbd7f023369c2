"""DICOM as its header says it is shown: files of pydicom's own, real films, and headers written here."""

from io import BytesIO
from pathlib import Path
from typing import Any

import data_store
import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import MPEG4HP41
import pytest

from mura_jobs.radiographs import decode as decoding
from mura_jobs.radiographs.decode import Unreadable, decode
from tests.radiographs.films import TWELVE_BITS, film, written

FILMS = Path(data_store.__file__).parent / "data"


def stretched(values: np.ndarray) -> np.ndarray:
    return np.asarray((values - values.min()) / (values.max() - values.min()))


def test_without_a_window_the_whole_range_is_shown() -> None:
    found = decode(written(film()))
    np.testing.assert_allclose(found.grey, stretched(TWELVE_BITS.astype(float)), atol=1e-6)
    assert found.photometric == "MONOCHROME2"
    assert found.grey.dtype == np.float32


def test_monochrome1_is_turned_and_said() -> None:
    found = decode(written(film(PhotometricInterpretation="MONOCHROME1")))
    np.testing.assert_allclose(found.grey, 1 - stretched(TWELVE_BITS.astype(float)), atol=1e-6)
    assert found.photometric == "MONOCHROME1"


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": 2, "RescaleIntercept": -1000}])
def test_the_first_window_is_applied_after_the_rescale(function: str, rescale: dict[str, Any]) -> None:
    """PS3.3 C.11.2.1.2: below the window black, above it white, at its centre half."""
    slope, intercept = rescale.get("RescaleSlope", 1), rescale.get("RescaleIntercept", 0)
    window: dict[str, Any] = {
        "WindowCenter": [2000, 100],
        "WindowWidth": [800, 20],
        "VOILUTFunction": function,
    }
    grey = decode(written(film(**window, **rescale))).grey
    values = TWELVE_BITS.astype(float) * slope + intercept
    if function == "SIGMOID":
        expected = 1 / (1 + np.exp(-4 * (values - 2000) / 800))
    else:
        shift, less = (0.5, 1) if function == "LINEAR" else (0, 0)
        expected = np.clip((values - 2000 + shift) / (800 - less) + 0.5, 0, 1)
    np.testing.assert_allclose(grey, expected, atol=1e-6)


def test_signed_values_are_windowed_where_they_lie() -> None:
    signed = (TWELVE_BITS.astype(np.int16) - 2048).astype(np.int16)
    grey = decode(written(film(signed, WindowCenter=0, WindowWidth=4096, VOILUTFunction="LINEAR_EXACT"))).grey
    np.testing.assert_allclose(grey, (signed.astype(float) + 2048) / 4096, atol=1e-6)


@pytest.mark.parametrize("depth", [8, 12, 16])
def test_a_voi_lut_comes_before_a_window(depth: int) -> None:
    table = np.round(np.linspace(1, 0, 3000) ** 2 * (2**depth - 1)).astype("<u2")
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [3000, 500, depth], table.tobytes()
    grey = decode(written(film(VOILUTSequence=Sequence([item]), WindowCenter=9, WindowWidth=9))).grey
    expected = table[np.clip(TWELVE_BITS.astype(int) - 500, 0, 2999)] / (2**depth - 1)
    np.testing.assert_allclose(grey, expected, atol=1e-6)


def test_padding_is_black_and_no_part_of_the_range() -> None:
    pixels = TWELVE_BITS.copy() + 100
    pixels[:3] = 0
    grey = decode(written(film(pixels, bits=16, PixelPaddingValue=0))).grey
    assert (grey[:3] == 0).all()
    np.testing.assert_allclose(grey[3:], stretched(pixels[3:].astype(float)), atol=1e-6)
    turned = film(pixels, bits=16, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")
    assert (decode(written(turned)).grey[:3] == 0).all()


@pytest.mark.parametrize("name", ["RG1_UNCR", "RG1_J2KR", "RG3_UNCR", "RG3_J2KR"])
def test_real_films_are_turned_and_shown_as_pydicom_shows_them(name: str) -> None:
    """Two computed radiographs of 10 and 15 bits, MONOCHROME1, plain and compressed."""
    data = (FILMS / f"{name}.dcm").read_bytes()
    found = decode(data)
    dataset = pydicom.dcmread(BytesIO(data))
    shown = apply_voi_lut(dataset.pixel_array, dataset).astype(float)
    assert found.photometric == "MONOCHROME1"
    assert np.corrcoef(found.grey.ravel(), shown.ravel())[0, 1] < -0.999
    assert len(np.unique(found.grey)) > 300


SAME_PICTURE = [
    ("MR_small.dcm", "MR_small_RLE.dcm"),
    ("MR_small.dcm", "MR_small_bigendian.dcm"),
    ("MR_small.dcm", "MR_small_implicit.dcm"),
    ("MR_small.dcm", "MR_small_jp2klossless.dcm"),
    ("MR_small.dcm", "MR_small_jpeg_ls_lossless.dcm"),
]


@pytest.mark.parametrize(("plain", "other"), SAME_PICTURE)
def test_a_lossless_transfer_syntax_changes_nothing(plain: str, other: str) -> None:
    one, two = (decode(Path(str(get_testdata_file(name))).read_bytes()).grey for name in (plain, other))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", ["JPEG-LL.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm"])
def test_lossless_jpeg_is_read(name: str) -> None:
    assert decode((FILMS / name).read_bytes()).grey.std() > 0


def pydicoms(name: str) -> bytes:
    return Path(str(get_testdata_file(name))).read_bytes()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pydicoms("SC_rgb_rle_2frame.dcm"), "2 frames; a radiograph has one"),
        (pydicoms("SC_rgb_jpeg.dcm"), "3 samples a pixel, RGB; a radiograph is MONOCHROME1 or MONOCHROME2"),
        (pydicoms("examples_palette.dcm"), "PALETTE COLOR"),
        (pydicoms("rtplan.dcm"), "DICOM without a picture, or cut off"),
        (pydicoms("MR_truncated.dcm"), "damaged DICOM.*less than expected"),
        (pydicoms("badVR.dcm"), "damaged DICOM: invalid literal"),
        (pydicoms("JPGExtended.dcm"), "transfer syntax JPEG Extended .*12-bit"),
        (pydicoms("image_dfl.dcm"), "deflated transfer syntax is not read"),
        (pydicoms("no_meta.dcm"), "no PNG, JPEG or DICOM"),
        (pydicoms("MR_small_jp2klossless.dcm")[:-3000], "DICOM without a picture, or cut off"),
        (pydicoms("MR_small_RLE.dcm")[:-2000], "DICOM"),
        ((FILMS / "JPEG-LL.dcm").read_bytes()[:-9000], "DICOM"),
        (pydicoms("MR_small.dcm")[:200], "DICOM"),
        (written(film(WindowCenter=-9999, WindowWidth=10)), r"centre -9999\.0, width 10\.0.*leaves one grey"),
        (written(film(WindowCenter=10, WindowWidth=0)), "Window Width must be"),
    ],
)  # fmt: skip
def test_what_is_no_radiograph_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        decode(data)


def test_a_transfer_syntax_without_a_codec_is_named() -> None:
    dataset = film()
    dataset.file_meta.TransferSyntaxUID = MPEG4HP41
    dataset.PixelData = encapsulate([dataset.PixelData])
    dataset["PixelData"].VR = "OB"
    with pytest.raises(Unreadable, match=r"transfer syntax MPEG-4 .* \(1.2.840.10008.1.2.4.102\); no codec"):
        decode(written(dataset))


def test_a_header_of_too_many_pixels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_PIXELS", 559)
    with pytest.raises(Unreadable, match="28 × 20 pixels; at most 559"):
        decode(written(film()))
