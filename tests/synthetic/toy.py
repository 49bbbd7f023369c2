"""Small data sets whose finding is known, and jobs to run stages on them."""

from collections.abc import Iterable
from pathlib import Path
import tempfile

import numpy as np
from numpy.typing import NDArray
import pandas as pd

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.job.config import Config
from mura_jobs.job.events import Events
from mura_jobs.job.job import Job
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.world import World
from mura_jobs.radiographs.packed import write_packed

Images = NDArray[np.uint8]


def radiographs(
    patients: int, resolution: int = 16, *, finding: float = 0.0, seed: int = 0
) -> tuple[pd.DataFrame, Images]:
    """Noise, two images a patient; positive ones have a square of `finding` grey values more than the rest.

    The first 60% of the patients are `train`, then 15% `select`, the others `test`.
    """
    random = np.random.default_rng(seed)
    number = np.repeat(np.arange(patients), 2)
    positive = (number * 7 // 3 + seed) % 2 == 0
    place = number / patients
    index = pd.DataFrame(
        {
            "key": [f"patient{n:05d}/study1/image{i % 2}.png" for i, n in enumerate(number)],
            "patient": [f"patient{n:05d}" for n in number],
            "study": [f"patient{n:05d}/study1" for n in number],
            "body_part": "XR_SHOULDER",
            "label": np.where(positive, "positive", "negative"),
            "split": np.select([place < 0.6, place < 0.75], ["train", "select"], "test"),
        }
    )
    grey = random.normal(100, 25, (len(index), resolution, resolution))
    low = resolution // 4
    grey[positive, low : 2 * low, low : 2 * low] += finding
    return index, grey.clip(0, 255).astype(np.uint8)


def fakes(
    label: str, images: int, resolution: int = 16, *, finding: float = 0.0
) -> tuple[pd.DataFrame, Images]:
    """What `synthesize` would have made of one label."""
    names = [f"synthetic-{label}-{n:05d}" for n in range(images)]
    index = pd.DataFrame(
        {
            "key": [f"{name}.png" for name in names],
            "patient": names,
            "study": [f"{name}/study1" for name in names],
            "body_part": "XR_SHOULDER",
            "label": label,
            "split": "train",
        }
    )
    grey = np.random.default_rng(images).normal(100, 25, (images, resolution, resolution))
    low = resolution // 4
    grey[:, low : 2 * low, low : 2 * low] += finding if label == "positive" else 0
    return index, grey.clip(0, 255).astype(np.uint8)


def publish(bucket: Bucket, place: str, index: pd.DataFrame, images: Images) -> Artifact:
    """Publish a packed data set at a place of the run `r`."""
    draft = Draft(bucket, f"runs/r/{place}", stage=place.split("/", maxsplit=1)[0], config={}, inputs={})
    write_packed(draft, index, images, shard_images=64)
    draft.publish({})
    return Artifact.open(bucket, draft.prefix)


def job_for(
    bucket: Bucket,
    place: str,
    config: Config,
    inputs: Iterable[str],
    *,
    shutdown: Shutdown | None = None,
    index: int = 0,
    count: int = 1,
) -> Job:
    """A job of the run `r`, as `execute` makes it."""
    artifacts = {name: Artifact.open(bucket, f"runs/r/{name}") for name in inputs}
    digests = {name: artifact.manifest.digest for name, artifact in artifacts.items()}
    stage = place.split("/", maxsplit=1)[0]
    output = Draft(bucket, f"runs/r/{place}", stage=stage, config=config.plain(), inputs=digests)
    events = Events(bucket, style="json", run="r", instance=place, index=index)
    return Job(
        bucket=bucket,
        inputs=artifacts,
        output=output,
        events=events,
        shutdown=shutdown or Shutdown(),
        world=World(),
        scratch=Path(tempfile.mkdtemp(dir=bucket.url.removeprefix("file://"))),
        index=index,
        count=count,
    )
