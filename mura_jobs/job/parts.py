"""An output made in shares by an Indexed Job: every share publishes a part, and the last one merges them.

Shares may run at any time, in any order and more than once; the number of shares never changes the output.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mura_jobs.bucket.base import ObjectMissing
from mura_jobs.job.artifact import Artifact, ArtifactMissing, Draft, clear_workings
from mura_jobs.job.job import Job
from mura_jobs.job.manifest import read_manifest


def run_in_parts(
    job: Job,
    make: Callable[[Draft], Mapping[str, Any]],
    merge: Callable[[Sequence[Artifact]], Mapping[str, Any]],
) -> None:
    """Make this job's share of its output, and publish the whole once all shares are there.

    Args:
        job: its index and count say which share is its own.
        make: puts the share's objects into the draft it is given and returns the part's summary. It is not
            called where an earlier attempt published this part.
        merge: reads all parts in the order of their indexes, puts the whole into `job.output` and returns the
            whole's summary.

    Raises:
        ConfigError: a part made with another configuration, or from other raw data, lies there.
    """
    part = _draft(job)
    published = read_manifest(job.bucket, part.prefix)
    if published is None:
        part.publish(make(part))
    else:
        published.require_same(part.prefix, part.config, part.inputs, part.sources)
    prefixes = [_prefix(job, index) for index in range(job.count)]
    missing = [prefix for prefix in prefixes if read_manifest(job.bucket, prefix) is None]
    if missing and read_manifest(job.bucket, job.output.prefix) is None:
        job.events.emit("part published", missing=len(missing), of=job.count)
        return
    try:
        parts = [Artifact.open(job.bucket, prefix) for prefix in prefixes]
        for other in parts:
            other.manifest.require_same(other.prefix, part.config, part.inputs, part.sources)
        job.output.publish(merge(parts))
    except (ObjectMissing, ArtifactMissing):
        # Another share may have found all parts at the same time, published, and cleared them away.
        if read_manifest(job.bucket, job.output.prefix) is None:
            raise
    clear_workings(job.bucket, job.output.prefix)


def _draft(job: Job) -> Draft:
    output = job.output
    return Draft(
        job.bucket,
        _prefix(job, job.index),
        stage=output.stage,
        config=output.config,
        inputs=output.inputs,
        sources=output.sources,
    )


def _prefix(job: Job, index: int) -> str:
    return f"{job.output.prefix}/parts/{index:05d}-of-{job.count:05d}"
