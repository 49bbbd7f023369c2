"""A data set given as one CSV: path, label, patient, study, split and perhaps body_part."""

import csv
from io import StringIO
from pathlib import PurePosixPath

from mura_jobs.errors import InputError
from mura_jobs.job.config import Label, Split
from mura_jobs.radiographs.dataset import DataSet, Radiograph, require_consistent
from mura_jobs.radiographs.files import Files

COLUMNS = ("path", "label", "patient", "study", "split")

_LABELS: dict[str, Label] = {"positive": "positive", "1": "positive", "negative": "negative", "0": "negative"}
_SPLITS: dict[str, Split] = {"train": "train", "select": "select", "test": "test", "valid": "test"}


def read_table(files: Files, name: str, body_parts: tuple[str, ...]) -> DataSet:
    """Read a data set's CSV and check it against its files.

    Args:
        files: the folder that holds the CSV; its paths are relative to that folder.
        name: the CSV's name in it.
        body_parts: which to take, or ("all",). A CSV without the column body_part is taken whole.

    Raises:
        InputError: a column is missing, a value is impossible, a file is missing, or nothing is left.
    """
    where = f"{files.where}/{name}"
    try:
        reader = csv.DictReader(StringIO(files.read(name).decode("utf-8-sig")), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{where}: not a CSV ({error})") from None
    header = tuple(reader.fieldnames or ())
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise InputError(
            f"{where}: has no column {', '.join(missing)}; expected {', '.join(COLUMNS)} and perhaps "
            f"body_part, found {', '.join(header)}"
        )
    parted = "body_part" in header
    radiographs = [_radiograph(row, f"{where}, line {line}", files) for line, row in enumerate(rows, start=2)]
    if parted and body_parts != ("all",):
        radiographs = [r for r in radiographs if r.body_part in body_parts]
    if not radiographs:
        raise InputError(f"{where}: holds no image of {', '.join(body_parts)}")
    require_consistent(where, radiographs)
    return DataSet(PurePosixPath(name).stem, tuple(sorted(radiographs)), (), (name,))


def _radiograph(row: dict[str, str], where: str, files: Files) -> Radiograph:
    for column in COLUMNS:
        if not (row[column] or "").strip():
            raise InputError(f"{where}: {column} is empty")
    path, label, patient, study, split = (row[column].strip() for column in COLUMNS)
    if path not in files.sizes:
        raise InputError(f"{where}: there is no file {path}; paths are relative to the CSV's folder")
    if label not in _LABELS:
        raise InputError(f"{where}: label {label!r}; expected one of {', '.join(_LABELS)}")
    if split not in _SPLITS:
        raise InputError(f"{where}: split {split!r}; expected one of {', '.join(_SPLITS)}")
    part = (row.get("body_part") or "").strip() or "unknown"
    return Radiograph(path, path, patient, f"{patient}/{study}", part, _LABELS[label], _SPLITS[split])
