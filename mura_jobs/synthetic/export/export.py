"""The command `export`: packed data sets of a run as PNG files with their provenance, for other tools."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
import tempfile
from typing import Any, NamedTuple

import numpy as np

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact, Draft, withdraw
from mura_jobs.job.manifest import read_manifest
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.stage import JobOptions
from mura_jobs.radiographs.packed import Packed
from mura_jobs.synthetic.export.config import ExportConfig
from mura_jobs.synthetic.export.layout import (
    DATASET,
    LABELS,
    dataset_json,
    folder_path,
    labels_csv,
    write_zip,
    zip_path,
)
from mura_jobs.synthetic.export.png import description, is_synthetic, png_bytes

_AT_ONCE = 256
"""Images in memory as PNG."""


Row = dict[str, Any]


class _Source(NamedTuple):
    """One data set to export."""

    place: str
    digest: str
    packed: Packed
    rows: list[Row]


def export(config: ExportConfig, options: JobOptions, shutdown: Shutdown) -> str:
    """Write the files and a manifest of them, unless the same export lies there already.

    Returns:
        The URL of the export's folder.

    Raises:
        ArtifactMissing: the run has no such data set.
        InputError: nothing is left to export, or synthetic images are copies of training images.
        ConfigError: something else lies there, and `replace` is off.
        Stopped: SIGTERM came.
    """
    bucket = open_bucket(options.bucket, options.endpoint)
    target, prefix = _target(config, options, bucket)
    where = f"{target.url.rstrip('/')}/{prefix}"
    places = sorted(set(config.sources))
    artifacts = {place: Artifact.open(bucket, f"runs/{options.run_id}/{place}") for place in places}
    inputs = {place: artifact.manifest.digest for place, artifact in artifacts.items()}
    found = read_manifest(target, prefix)
    if found is not None and not options.replace:
        found.require_same(where, config.plain(), inputs)
        return where
    if found is not None:
        withdraw(target, prefix)
    draft = Draft(target, prefix, stage="export", config=config.plain(), inputs=inputs, plain_names=True)
    with tempfile.TemporaryDirectory(prefix="mura-jobs-", dir=options.scratch) as scratch:
        sources = [_load(config, place, artifact, Path(scratch)) for place, artifact in artifacts.items()]
        rows = [row for source in sources for row in source.rows]
        if not rows:
            raise InputError(
                f"export: {', '.join(places)} hold no image of the split {config.split}; synthetic "
                f"radiographs are all train"
            )
        if not config.allow_memorised:
            _require_no_copies(sources)
        if config.form == "zip":
            archive = Path(scratch) / f"{config.name}.zip"
            _write_archive(archive, sources, rows, shutdown)
            draft.put_file(archive.name, archive)
        else:
            _put_folders(draft, sources, rows, shutdown)
    draft.publish({"images": len(rows), "synthetic": sum(map(is_synthetic, rows))})
    return where


def _put_folders(draft: Draft, sources: list[_Source], rows: list[Row], shutdown: Shutdown) -> None:
    paths = [folder_path(row) for row in rows]
    assert len(set(paths)) == len(paths)
    files = _pngs(sources, paths, shutdown)
    while chunk := dict(islice(files, _AT_ONCE)):
        draft.put_all(chunk)
    draft.put(LABELS, labels_csv(rows, paths))


def _write_archive(archive: Path, sources: list[_Source], rows: list[Row], shutdown: Shutdown) -> None:
    paths = [zip_path(number) for number in range(len(rows))]
    positive = (row["label"] == "positive" for row in rows)
    tables = {DATASET: dataset_json(zip(paths, positive, strict=True)), LABELS: labels_csv(rows, paths)}
    write_zip(archive, chain(tables.items(), _pngs(sources, paths, shutdown)))


def _target(config: ExportConfig, options: JobOptions, bucket: Bucket) -> tuple[Bucket, str]:
    if config.to is None:
        return bucket, f"runs/{options.run_id}/export/{config.name}"
    return open_bucket(config.to, options.endpoint if config.to.startswith("s3://") else None), config.name


def _load(config: ExportConfig, place: str, artifact: Artifact, scratch: Path) -> _Source:
    packed = Packed.load(artifact, scratch / place)
    if config.split != "all":
        packed = packed.where(split=config.split)
    names = [str(name) for name in packed.index]
    rows = [dict(zip(names, row, strict=True)) for row in packed.index.itertuples(index=False)]
    return _Source(place, artifact.manifest.digest, packed, rows)


def _require_no_copies(sources: list[_Source]) -> None:
    """Copies of training images show patients; so may images that were never compared with any."""
    for source in sources:
        fakes = [row for row in source.rows if is_synthetic(row)]
        if any("memorised" not in row for row in fakes):
            raise InputError(
                f"{source.place}: its images have not been compared with training images, and may be copies "
                f"of patients' radiographs; synthesize them again, or set allow_memorised"
            )
        copies = [row for row in fakes if row["memorised"]]
        if copies:
            named = ", ".join(f"{row['key']} (of {row['nearest_train']})" for row in copies[:3])
            more = " …" if len(copies) > 3 else ""
            raise InputError(
                f"{source.place}: {len(copies)} of {len(fakes)} images are copies of training images: {named}"
                f"{more}; synthesize them again with gates.memorisation on, or set allow_memorised if "
                f"patients' radiographs may leave"
            )


def _pngs(sources: list[_Source], paths: list[str], shutdown: Shutdown) -> Iterator[tuple[str, bytes]]:
    """Every image as PNG under its path. SIGTERM ends it: an export without manifest is written anew."""
    names = iter(paths)
    for source in sources:
        for start in range(0, len(source.rows), _AT_ONCE):
            shutdown.check()
            chunk = source.rows[start : start + _AT_ONCE]
            images = source.packed.images(np.arange(start, start + len(chunk)))
            for row, image in zip(chunk, images, strict=True):
                yield next(names), png_bytes(image, description(row, source.place, source.digest))
