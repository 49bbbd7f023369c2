"""Small data sets in MURA's layout, written by hand."""

from collections.abc import Mapping
from io import BytesIO
import zipfile

import numpy as np
from PIL import Image

from mura_jobs.bucket.base import Bucket


def png(seed: int = 0, size: tuple[int, int] = (40, 30), mode: str = "L") -> bytes:
    """A noisy picture of (width, height)."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0]), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "PNG")
    return file.getvalue()


def mura_tree(
    patients: int = 24, parts: tuple[str, ...] = ("XR_SHOULDER",), name: str = "MURA-v1.1"
) -> dict[str, bytes]:
    """A valid tree: every fourth patient in valid, four positive after four negative, two images a study."""
    files: dict[str, bytes] = {}
    tables: dict[str, list[str]] = {}
    for number in range(patients):
        folder = "valid" if number % 4 == 3 else "train"
        value, label = (1, "positive") if number // 4 % 2 else (0, "negative")
        for part in parts:
            study = f"{name}/{folder}/{part}/patient{number:05d}/study1_{label}/"
            tables.setdefault(f"{folder}_labeled_studies.csv", []).append(f"{study},{value}")
            for image in (1, 2):
                tables.setdefault(f"{folder}_image_paths.csv", []).append(f"{study}image{image}.png")
                files[f"{study}image{image}.png"] = png(2 * number + image, mode="RGB" if image == 2 else "L")
    return files | {
        f"{name}/{table}": "".join(f"{line}\n" for line in lines).encode() for table, lines in tables.items()
    }


def put(bucket: Bucket, prefix: str, files: Mapping[str, bytes]) -> None:
    """Put files under a prefix."""
    bucket.write_all((f"{prefix}/{path}", data) for path, data in files.items())


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of files."""
    data = BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return data.getvalue()
