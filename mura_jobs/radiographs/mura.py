"""MURA's layout, as Stanford ships it (Rajpurkar et al. 2018, https://stanfordmlgroup.github.io/competitions/mura/).

MURA-v1.1/train_image_paths.csv         one path a line, from the data set's name on
MURA-v1.1/train_labeled_studies.csv     a study's folder and 1 (positive, abnormal) or 0
MURA-v1.1/valid_image_paths.csv, MURA-v1.1/valid_labeled_studies.csv
MURA-v1.1/train/XR_SHOULDER/patient00001/study1_positive/image1.png

A data set that has `train` or `valid` alone is read as well: what it is good for, its reader decides.
"""

from collections.abc import Iterable, Iterator
import re
from typing import get_args

from mura_jobs.errors import InputError
from mura_jobs.job.config import Label, Split
from mura_jobs.radiographs.dataset import Counts, DataSet, Radiograph, count, flat, require_consistent
from mura_jobs.radiographs.files import Files

EXAMPLE = "MURA-v1.1/train/XR_SHOULDER/patient00001/study1_positive/image1.png"

_IMAGE = re.compile(
    r"(?P<study_path>(?P<name>[^/]+)/(?P<folder>train|valid)/(?P<part>XR_[A-Z0-9_]+)/"
    r"(?P<patient>patient\d+)/study(?P<study>\d+)_(?P<label>positive|negative)/)image\d+\.(?:png|jpe?g|dcm|dicom)"
)
_TABLES = ("image_paths.csv", "labeled_studies.csv")
_SPLITS: dict[str, Split] = {"train": "train", "valid": "test"}
_LABELS: dict[str, Label] = {"1": "positive", "0": "negative"}

OFFICIAL_NAME = "MURA-v1.1"

OFFICIAL_COUNTS: Counts = {
    "XR_SHOULDER": {
        "train": {"positive": 4168, "negative": 4211},
        "test": {"positive": 278, "negative": 285},
    }
}
"""Images of MURA-v1.1 as published, by body part, split (`test` is MURA's `valid`) and label."""


def read_mura(files: Files, body_parts: tuple[str, ...]) -> DataSet:
    """Read the tables of a tree in MURA's layout and check them against its files.

    Args:
        files: the tree, with the tables at its top or one folder below.
        body_parts: which to take, or ("all",).

    Raises:
        InputError: a folder's table is missing or can't be understood, or tables and files differ.
    """
    root = _root(files)
    folders = [folder for folder in _SPLITS if any(f"{root}{folder}_{t}" in files.sizes for t in _TABLES)]
    studies = dict(_labeled_studies(files, root, folders))
    listed = {
        line: where for folder in folders for where, line in _lines(files, f"{root}{folder}_image_paths.csv")
    }
    radiographs = tuple(sorted(_radiograph(key, where, root, studies) for key, where in listed.items()))
    names = {key.split("/", 1)[0] for key in listed}
    if len(names) != 1:
        raise InputError(f"{files.where}: paths start with {sorted(names)}; expected one data set's name")
    ignored = _require_same_files(files, root, radiographs)
    _require_images(files.where, studies, listed)
    taken = _of_parts(files.where, radiographs, body_parts)
    require_consistent(files.where, taken)
    tables = tuple(f"{root}{folder}_{table}" for folder in folders for table in _TABLES)
    return DataSet(names.pop(), taken, ignored, tables)


def official_mismatches(data: DataSet) -> Iterator[str]:
    """Where counts differ from MURA's published ones; nothing for a data set of another name."""
    if data.name != OFFICIAL_NAME:
        return
    found = flat(count(r.kind for r in data.radiographs))
    parts = {r.body_part for r in data.radiographs}
    official = {part: counts for part, counts in OFFICIAL_COUNTS.items() if part in parts}
    for kind, expected in flat(official).items():
        if found.get(kind, 0) != expected:
            yield f"{kind}: {found.get(kind, 0):,} images, but {OFFICIAL_NAME} as published has {expected:,}"


def _root(files: Files) -> str:
    """The folder that holds the tables, with a slash at its end, or nothing where they are at the top."""
    tables = {f"{folder}_image_paths.csv" for folder in _SPLITS}
    found = sorted(
        {
            path[: len(path) - len(path.split("/")[-1])]
            for path in files.sizes
            if path.split("/")[-1] in tables and path.count("/") < 2
        }
    )
    if len(found) != 1:
        where = f"in {len(found)} folders ({', '.join(found)})" if found else "nowhere"
        raise InputError(
            f"{files.where}: {' and '.join(sorted(tables))} are {where}; expected one folder with either or "
            "both, at the top or one folder below, as in MURA-v1.1/train_image_paths.csv"
        )
    return found[0]


def _lines(files: Files, path: str) -> Iterator[tuple[str, str]]:
    """Where each line of a table stands, for messages, and the line."""
    try:
        text = files.read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{files.where}/{path}: not text ({error})") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield f"{files.where}/{path}, line {number}", line.strip()


def _labeled_studies(files: Files, root: str, folders: list[str]) -> Iterator[tuple[str, Label]]:
    for folder in folders:
        for where, line in _lines(files, f"{root}{folder}_labeled_studies.csv"):
            study, _, value = line.rpartition(",")
            if value.strip() not in _LABELS:
                raise InputError(f"{where}: {line!r}; expected a study's folder, a comma, and 1 or 0")
            yield f"{study.strip().strip('/')}/", _LABELS[value.strip()]


def _radiograph(key: str, where: str, root: str, studies: dict[str, Label]) -> Radiograph:
    match = _IMAGE.fullmatch(key)
    if match is None:
        raise InputError(f"{where}: {key!r} is not a MURA key; expected the form {EXAMPLE}")
    study_path, label = match["study_path"], match["label"]
    if study_path not in studies:
        raise InputError(f"{where}: {key} belongs to no study in {match['folder']}_labeled_studies.csv")
    if studies[study_path] != label:
        raise InputError(
            f"{where}: {key} is {label} by its folder and {studies[study_path]} by "
            f"{match['folder']}_labeled_studies.csv; correct one of them"
        )
    assert label in get_args(Label)
    return Radiograph(
        key=key,
        path=root + key.split("/", 1)[1],
        patient=match["patient"],
        study=f"{match['part']}/{match['patient']}/study{match['study']}",
        body_part=match["part"],
        label=studies[study_path],
        split=_SPLITS[match["folder"]],
    )


def _require_same_files(files: Files, root: str, radiographs: Iterable[Radiograph]) -> tuple[str, ...]:
    """Check that listed and present images are the same; return the paths of files that are neither."""
    listed = {r.path for r in radiographs}
    folders = tuple(f"{root}{folder}/" for folder in _SPLITS)
    within = {path for path in files.sizes if path.startswith(folders)}
    hidden = {path for path in files.sizes if _is_hidden(path)}
    _require_none(files.where, "listed images have no file", sorted(listed - within))
    _require_none(files.where, "files are not listed as images", sorted(within - listed - hidden))
    return tuple(sorted(hidden - listed))


def _is_hidden(path: str) -> bool:
    """Whether it is what desktop systems leave in folders: `.DS_Store`, `._image1.png`, `__MACOSX/…`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def _require_images(where: str, studies: Iterable[str], keys: Iterable[str]) -> None:
    with_images = {key.rsplit("/", 1)[0] + "/" for key in keys}
    _require_none(where, "labelled studies have no image", sorted(set(studies) - with_images))


def _require_none(where: str, problem: str, paths: list[str]) -> None:
    if paths:
        shown = ", ".join(paths[:3]) + (" …" if len(paths) > 3 else "")
        raise InputError(f"{where}: {len(paths):,} {problem}: {shown}")


def _of_parts(
    where: str, radiographs: tuple[Radiograph, ...], parts: tuple[str, ...]
) -> tuple[Radiograph, ...]:
    present = sorted({r.body_part for r in radiographs})
    if parts == ("all",):
        return radiographs
    missing = sorted(set(parts) - set(present))
    if missing:
        raise InputError(f"{where}: holds no {', '.join(missing)}; it holds {', '.join(present)}")
    return tuple(r for r in radiographs if r.body_part in parts)
