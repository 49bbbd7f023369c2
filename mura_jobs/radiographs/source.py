"""The data set that a configuration names, opened."""

from pathlib import PurePosixPath

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.config import canonical_digest
from mura_jobs.radiographs.config import PreprocessConfig
from mura_jobs.radiographs.dataset import DataSet
from mura_jobs.radiographs.files import Files, Folder, SourceMissing, Zip
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


def source_digests(config: PreprocessConfig, bucket: Bucket) -> dict[str, str]:
    """What tells whether raw data changed, by where it lies; nothing where nothing lies there.

    It is a digest of the names, sizes and versions of the data set's tables and images, without reading the
    images. A version is what the bucket offers: S3's ETag, the time a file was written, a zip member's CRC.

    Raises:
        InputError: what lies there is not a data set.
    """
    try:
        files, data = open_source(bucket, config.source, config.body_parts)
    except SourceMissing:
        return {}
    with files:
        paths = sorted({*data.tables, *(r.path for r in data.radiographs)})
        return {config.source: canonical_digest([[p, files.sizes[p], files.versions[p]] for p in paths])}
