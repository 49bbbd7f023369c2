"""The data set that a configuration names, opened."""

from pathlib import PurePosixPath

from mura_jobs.bucket.base import Bucket
from mura_jobs.radiographs.dataset import DataSet
from mura_jobs.radiographs.files import Files, Folder, Zip
from mura_jobs.radiographs.mura import read_mura
from mura_jobs.radiographs.table import read_table


def open_source(bucket: Bucket, source: str, body_parts: tuple[str, ...]) -> tuple[Files, DataSet]:
    """The files and the labelled radiographs of a tree, a zip or a CSV in the bucket.

    Args:
        bucket: where it lies.
        source: prefix of a tree in MURA's layout, key of its `.zip`, or key of a `.csv`.
        body_parts: which to take, or ("all",).

    Raises:
        InputError: it is not there, or not a data set.
    """
    path = PurePosixPath(source)
    if path.suffix.lower() == ".csv":
        files: Files = Folder(bucket, "" if str(path.parent) == "." else str(path.parent))
        return files, read_table(files, path.name, body_parts)
    files = Zip(bucket, source) if path.suffix.lower() == ".zip" else Folder(bucket, source)
    return files, read_mura(files, body_parts)
