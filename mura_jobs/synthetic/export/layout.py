"""How exported files are called, and the archive that the published StyleGAN2-ADA reads."""

from collections.abc import Iterable, Iterator, Mapping
import csv
from io import StringIO
import json
from pathlib import Path, PurePosixPath
import zipfile

from mura_jobs.synthetic.export.png import is_synthetic

DATASET = "dataset.json"
LABELS = "labels.csv"

_FOLDER = 1000
"""Images in one folder of the archive."""


def folder_path(row: Mapping[str, object]) -> str:
    """Where an image lies in folders: "positive/SHOULDER/synthetic-positive-0000001.png".

    A real image keeps its whole key in its name, so that no two meet.
    """
    part = str(row["body_part"]).replace("XR_", "")
    key = PurePosixPath(str(row["key"]))
    name = str(row["patient"]) if is_synthetic(row) else "-".join(key.with_suffix("").parts)
    return f"{row['label']}/{part}/{name}.png"


def zip_path(number: int) -> str:
    """Where image `number` lies in the archive."""
    return f"{number // _FOLDER:05d}/img{number:08d}.png"


def dataset_json(labels: Iterable[tuple[str, bool]]) -> bytes:
    """The archive's table of labels: [path, 1 for positive and 0 for negative]."""
    return json.dumps({"labels": [[path, int(positive)] for path, positive in labels]}).encode()


def labels_csv(rows: Iterable[Mapping[str, object]], paths: Iterable[str]) -> bytes:
    """The table of all images as `preprocess` reads it: path, label, patient, study, split, body_part."""
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = ("label", "patient", "study", "split", "body_part")
    writer.writerow(("path", *columns))
    writer.writerows(
        (path, *(row[column] for column in columns)) for row, path in zip(rows, paths, strict=True)
    )
    return file.getvalue().encode()


def write_zip(path: Path, files: Iterator[tuple[str, bytes]]) -> None:
    """An archive whose bytes depend on names and contents alone. PNGs are compressed already."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            entry = zipfile.ZipInfo(name)  # dated 1980, whenever it is made
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
