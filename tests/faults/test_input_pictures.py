"""Hostile pictures: PNG, JPEG and DICOM, from their headers on."""

from io import BytesIO
import struct
import zlib

import numpy as np
from PIL import Image
from pydicom.uid import ImplicitVRLittleEndian, RLELossless
import pytest

from mura_jobs.radiographs.decode import MAX_PIXELS, Unreadable, decode
from tests.faults.hostile import MANY, bounded_memory, survive
from tests.radiographs.films import film, written
from tests.radiographs.trees import png


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


NOISE = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
DEEP = np.random.default_rng(0).integers(0, 65536, (20, 30), np.uint16)
PNGS = [
    *(png(1, (30, 20), mode) for mode in ("1", "L", "P", "LA", "RGB", "RGBA")),
    saved(Image.fromarray(DEEP), "PNG"),
    saved(Image.fromarray(NOISE).convert("P"), "PNG", transparency=3),
]
TURNED = Image.Exif()
TURNED[0x0112] = 6
JPEGS = [
    saved(Image.fromarray(NOISE), "JPEG"),
    saved(Image.fromarray(NOISE).convert("RGB"), "JPEG", progressive=True, exif=TURNED),
    saved(Image.fromarray(NOISE).convert("CMYK"), "JPEG"),
]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def handmade(width: int, height: int, depth: int, colour: int, *chunks: bytes) -> bytes:
    """A PNG with right checksums, whatever it says."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def with_checksums(data: bytes) -> bytes:
    """A damaged PNG with its chunks' checksums made right again, so that the damage reaches the decoder."""
    result, at = data[:8], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        result += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return result + data[at:]


@pytest.mark.parametrize("cases", MANY)
def test_pngs(cases: int) -> None:
    survive(decode, PNGS, cases)


@pytest.mark.parametrize("cases", MANY)
def test_pngs_with_right_checksums(cases: int) -> None:
    survive(lambda data: decode(with_checksums(data)), PNGS, cases)


@pytest.mark.parametrize("cases", MANY)
def test_jpegs(cases: int) -> None:
    survive(decode, JPEGS, cases)


def films() -> list[bytes]:
    implicit = film()
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    packed = film()
    packed.compress(RLELossless)
    windowed = film(
        WindowCenter=2000, WindowWidth=3000, PixelPaddingValue=0, RescaleSlope=2, RescaleIntercept=-1
    )
    return [written(dataset) for dataset in (film(), implicit, packed, windowed)]


@pytest.mark.parametrize("cases", MANY)
def test_dicoms(cases: int) -> None:
    survive(decode, films(), cases)


ZEROS = zlib.compress(bytes(100_000_000), 9)
BOMBS = {
    "a header of 2³¹ squared": handmade(2**31 - 1, 2**31 - 1, 8, 0, chunk(b"IDAT", ZEROS)),
    "a header beyond the limit": handmade(10_000, MAX_PIXELS // 10_000 + 1, 8, 0, chunk(b"IDAT", ZEROS)),
    "no pixels": handmade(0, 0, 8, 0, chunk(b"IDAT", ZEROS)),
    "a text that unpacks to 100 MB": handmade(
        30, 20, 8, 0, chunk(b"zTXt", b"a\0\0" + ZEROS), chunk(b"IDAT", zlib.compress(bytes(31 * 20)))
    ),
    "a profile that unpacks to 100 MB": handmade(
        30, 20, 8, 0, chunk(b"iCCP", b"a\0\0" + ZEROS), chunk(b"IDAT", zlib.compress(bytes(31 * 20)))
    ),
    "a thousand frames": handmade(30, 20, 8, 0, chunk(b"acTL", struct.pack(">II", 1 << 30, 0))),
    "a JPEG of 65,535 squared": b"\xff\xd8\xff\xc0"
    + struct.pack(">HBHHB", 11, 8, 65535, 65535, 1)
    + b"\1\x11\0",
    "a DICOM of 65,535 squared": written(film(Rows=65535, Columns=65535)),
    "a DICOM of many frames": written(film(NumberOfFrames=2**31 - 1)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_picture_bombs(bomb: str) -> None:
    with bounded_memory(300 << 20), pytest.raises(Unreadable):
        decode(BOMBS[bomb])


def test_a_picture_with_more_pixels_than_it_says_is_read_as_it_says() -> None:
    """The rest of the stream is left packed."""
    with bounded_memory(50 << 20):
        assert decode(handmade(30, 20, 8, 0, chunk(b"IDAT", ZEROS))).grey.shape == (20, 30)


def test_the_largest_picture_that_is_read_takes_bounded_memory() -> None:
    data = saved(Image.fromarray(np.zeros((MAX_PIXELS // 10_000, 10_000), np.uint8)), "PNG")
    with bounded_memory():
        assert decode(data).grey.size == MAX_PIXELS
