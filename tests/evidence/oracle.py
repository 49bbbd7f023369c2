"""A perfect generator: synthetic radiographs drawn by the phantom's own program, of patients of their own.

Only `synthesize` is stood in for. Gates, index and format are those of the stage, and so is everything that
reads them.
"""

from dataclasses import dataclass
from pathlib import Path
import tempfile

import numpy as np

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.job.config import Label
from mura_jobs.job.events import Events
from mura_jobs.job.job import Job
from mura_jobs.job.manifest import read_manifest
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.world import World
from mura_jobs.radiographs.packed import Packed
from mura_jobs.stages import SYNTHESIZE, RunConfig, configure
from mura_jobs.synthetic.amount import Amount
from mura_jobs.synthetic.config import SynthesizeConfig
from mura_jobs.synthetic.output import made_index, write_screened
from mura_jobs.synthetic.screen import screen


@dataclass(frozen=True)
class Oracle:
    """Where the radiographs come from."""

    packed: Packed
    """Phantoms of another seed, all splits."""
    digest: str
    """Of that data set."""

    def publish(self, bucket: Bucket, run_id: str, run: RunConfig, label: Label) -> None:
        """Publish a run's synthetic radiographs of one label, unless they are there already.

        Raises:
            InputError: the gates let too few pass.
        """
        config = configure(SYNTHESIZE, run, label=label)
        assert isinstance(config, SynthesizeConfig)
        prefix = SYNTHESIZE.prefix(config, run_id)
        if read_manifest(bucket, prefix) is not None:
            return
        with tempfile.TemporaryDirectory() as scratch:
            job = _job(bucket, run_id, config, Path(scratch))
            real = Packed.load(job.inputs["preprocess"], job.scratch)
            train = real.where(split="train", label=label)
            wanted = Amount.parse(config.amount).images(len(train))
            own = self.packed.where(label=label)
            images = own.images()
            screening = screen(
                config.gates, images, label, real, None, wanted=wanted, pause=job.shutdown.check
            )
            names = [f"synthetic-phantom-{number:07d}" for number in screening.kept]
            index = made_index(names, label, sorted(set(train.index["body_part"])))
            index = index.assign(drawn_as=own.index["key"].to_numpy()[screening.kept])
            shown = {"shard_images": config.shard_images, "grid_images": config.grid_images}
            write_screened(job, screening, index, np.ascontiguousarray(images), **shown)
            facts = {"images": len(index), "resolution": real.resolution, **screening.facts}
            job.output.publish(facts | {"generator": f"none: phantoms of the data set {self.digest}"})


def _job(bucket: Bucket, run_id: str, config: SynthesizeConfig, scratch: Path) -> Job:
    inputs = {name: Artifact.open(bucket, f"runs/{run_id}/{name}") for name in SYNTHESIZE.needs(config)}
    place = SYNTHESIZE.place(config)
    return Job(
        bucket=bucket,
        inputs=inputs,
        output=Draft(
            bucket,
            f"runs/{run_id}/{place}",
            stage=SYNTHESIZE.name,
            config=config.plain(),
            inputs={name: artifact.manifest.digest for name, artifact in inputs.items()},
        ),
        events=Events(bucket, style="json", run=run_id, instance=place),
        shutdown=Shutdown(),
        world=World(),
        scratch=scratch,
    )
