"""The run's configuration in the bucket: runs/RUN/run.json."""

import json

from mura_jobs.bucket.base import Bucket, ObjectMissing
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.job.config import differences
from mura_jobs.job.manifest import read_manifest
from mura_jobs.stages import RunConfig, plan


def key(run_id: str) -> str:
    """Where a run's configuration lies."""
    return f"runs/{run_id}/run.json"


def read(bucket: Bucket, run_id: str) -> RunConfig:
    """The configuration of a run.

    Raises:
        InputError: no run of this id was begun, or its configuration is of another version.
    """
    try:
        data = bucket.read(key(run_id))
    except ObjectMissing:
        known = sorted({entry.key.split("/")[1] for entry in bucket.list("runs/")})
        raise InputError(
            f"{bucket.url}: run {run_id!r} was never begun; runs here: {', '.join(known) or 'none'}"
        ) from None
    try:
        return RunConfig.parse(json.loads(data), key(run_id))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{bucket.url}: {error}") from None


def record(bucket: Bucket, run_id: str, run: RunConfig, *, replace: bool) -> None:
    """Keep the run's configuration. It may change as long as nothing that is published contradicts it.

    Args:
        bucket: where the run lies.
        run_id: its name.
        run: its configuration.
        replace: what contradicts it is going to be discarded.

    Raises:
        ConfigError: an output of this run was made with another configuration.
    """
    data = json.dumps(run.plain(), indent=1, ensure_ascii=False).encode()
    if bucket.create(key(run_id), data) or bucket.read(key(run_id)) == data:
        return
    if replace:
        bucket.write(key(run_id), data)
        return
    found = []
    for instance in plan(run):
        manifest = read_manifest(bucket, instance.stage.prefix(instance.config, run_id))
        if manifest is not None:
            found += [
                f"{instance.place}: {difference}"
                for difference in differences(manifest.config, instance.config.plain())
            ]
    if found:
        raise ConfigError(
            f"run {run_id} has outputs of another configuration in {bucket.url}:\n  "
            + "\n  ".join(found)
            + "\nUse another run id to keep both, or --replace to discard what is there."
        )
    bucket.write(key(run_id), data)
