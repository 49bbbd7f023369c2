from io import BytesIO
import struct
import zlib

import numpy as np
from PIL import Image
import pytest

from mura_jobs.radiographs.decode import Unreadable, decode
from tests.radiographs.trees import png

RAMP = np.arange(240, dtype=np.uint8).reshape(12, 20)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_a_grey_picture_is_the_same_in_any_mode(mode: str) -> None:
    np.testing.assert_allclose(decode(encoded(Image.fromarray(RAMP).convert(mode))), RAMP / 255, atol=1 / 254)


def test_sixteen_bits_keep_their_precision() -> None:
    deep = np.linspace(0, 65535, 300, dtype=np.uint16).reshape(15, 20)
    np.testing.assert_allclose(decode(encoded(Image.fromarray(deep))), deep / 65535, atol=1e-6)


def test_transparency_lies_on_black() -> None:
    rgba = np.full((4, 4, 4), 255, np.uint8)
    rgba[:2, :, 3] = 0
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(rgba)))[:, 0], [0, 0, 1, 1])


def test_a_turned_jpeg_is_turned_back() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90° clockwise to see it upright
    data = encoded(Image.fromarray(RAMP), "JPEG", quality=100, exif=exif)
    np.testing.assert_allclose(decode(data), np.rot90(RAMP, -1) / 255, atol=0.02)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"%PDF-1.7 no picture", "neither PNG nor JPEG"),
        (encoded(Image.fromarray(RAMP), "BMP"), "neither PNG nor JPEG"),
        (png(size=(90, 80))[:-200], "damaged"),
        (png(size=(90, 80))[:40], "damaged"),
    ],
)  # fmt: skip
def test_what_is_no_picture_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        decode(data)


def test_a_flipped_bit_is_noticed() -> None:
    data = bytearray(png(size=(90, 80)))
    data[len(data) // 2] ^= 16
    with pytest.raises(Unreadable, match="damaged"):
        decode(bytes(data))


def test_a_picture_with_too_many_pixels_is_refused_unopened() -> None:
    """A header that promises 60000 × 60000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    with pytest.raises(Unreadable, match="pixels"):
        decode(bomb)
