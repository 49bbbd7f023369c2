from io import BytesIO
import struct
import zlib

import cv2
import numpy as np
from PIL import Image
import pytest

from mura_jobs.radiographs.decode import Unreadable, decode
from tests.radiographs.trees import png

RAMP = np.arange(240, dtype=np.uint8).reshape(12, 20)
DEEP = np.linspace(0, 65535, 300, dtype=np.uint16).reshape(15, 20)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def deep_png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1].tobytes())


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_a_grey_picture_is_the_same_in_any_mode(mode: str) -> None:
    found = decode(encoded(Image.fromarray(RAMP).convert(mode)))
    np.testing.assert_allclose(found.grey, RAMP / 255, atol=1 / 254)
    assert found.photometric is None


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_grey_jpeg_is_the_same_in_any_mode(mode: str) -> None:
    data = encoded(Image.fromarray(RAMP).convert("RGB").convert(mode), "JPEG", quality=100)
    np.testing.assert_allclose(decode(data).grey, RAMP / 255, atol=0.02)


def test_black_and_white_is_a_picture() -> None:
    bits = RAMP > 100
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(bits))).grey, bits)


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_sixteen_bits_keep_their_precision(mode: str) -> None:
    image = Image.frombytes(mode, (20, 15), DEEP.astype(">u2" if mode == "I;16B" else "<u2").tobytes())
    np.testing.assert_allclose(decode(encoded(image)).grey, DEEP / 65535, atol=1e-6)


def test_sixteen_bit_colours_keep_their_precision() -> None:
    data = deep_png(np.stack([DEEP] * 3, -1))
    np.testing.assert_allclose(decode(data).grey, DEEP / 65535, atol=1e-5)


def test_sixteen_bit_transparency_lies_on_black() -> None:
    half = np.full_like(DEEP, 32768)
    data = deep_png(np.stack([DEEP, DEEP, DEEP, half], -1))
    np.testing.assert_allclose(decode(data).grey, DEEP / 65535 / 2, atol=1e-4)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_fewer_bits_in_sixteen_reach_white(bits: int) -> None:
    """A detector's 12 bits, stored in 16 as they came, are no dark picture."""
    found = decode(encoded(Image.fromarray((DEEP >> (16 - bits)).astype(np.uint16)))).grey
    assert found.max() == 1
    np.testing.assert_allclose(found, DEEP / 65535, atol=2 / 2**bits)


def test_transparency_lies_on_black() -> None:
    rgba = np.full((4, 4, 4), 255, np.uint8)
    rgba[:2, :, 3] = 0
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(rgba))).grey[:, 0], [0, 0, 1, 1])


@pytest.mark.parametrize("kind", ["palette", "grey", "deep"])
def test_a_transparent_value_lies_on_black(kind: str) -> None:
    """The value 7 is named transparent: in a palette, in 8 and in 16 bits of grey."""
    values = np.repeat([[7], [9]], 4, 1).astype(np.uint16 if kind == "deep" else np.uint8)
    image = Image.fromarray(values)
    if kind == "palette":
        image = Image.frombytes("P", image.size, values.tobytes())
        image.putpalette([255] * 768)
    found = decode(encoded(image, transparency=7)).grey
    assert (found[0] == 0).all()
    assert (found[1] > 0).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "deep"])
def test_a_turned_picture_is_turned_back(form: str, orientation: int) -> None:
    """As Pillow turns it, whose tables are those of CIPA DC-008."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(DEEP if form == "deep" else RAMP)
    data = encoded(image, "JPEG", quality=100, exif=exif) if form == "JPEG" else encoded(image, exif=exif)
    with Image.open(BytesIO(data)) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened), np.float32)
    np.testing.assert_allclose(decode(data).grey, upright / (65535 if form == "deep" else 255), atol=1e-6)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"%PDF-1.7 no picture", "no PNG, JPEG or DICOM"),
        (encoded(Image.fromarray(RAMP), "BMP"), "no PNG, JPEG or DICOM"),
        (png(size=(90, 80))[:-200], "damaged"),
        (png(size=(90, 80))[:40], "damaged"),
        (png(size=(90, 80))[:12], "damaged"),
        (encoded(Image.fromarray(DEEP).resize((300, 300)))[:-900], "damaged"),
        (encoded(Image.fromarray(RAMP).resize((300, 300)), "JPEG")[:-400], "damaged"),
        (encoded(Image.fromarray(RAMP), "JPEG")[:20], "damaged"),
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
