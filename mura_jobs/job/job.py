"""What a stage is handed besides its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.job.events import Events
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.world import World


@dataclass(frozen=True)
class Job:
    """One attempt at one stage instance."""

    bucket: Bucket
    """The whole bucket: raw data, checkpoints and the parts of sharded outputs lie there."""
    inputs: Mapping[str, Artifact]
    """Published outputs of earlier stages, by their prefix in the run: "preprocess", "train-gan/positive"."""
    output: Draft
    """What this stage makes. Only the main process puts and publishes."""
    events: Events
    shutdown: Shutdown
    world: World
    scratch: Path
    """An empty local folder that goes away afterwards."""
    index: int = 0
    """Which share of an Indexed Job this is, 0 … count − 1."""
    count: int = 1
    """How many shares there are. It never changes the result."""
