"""The stage `synthesize`: a generator in, a packed data set of gated synthetic radiographs out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pandas as pd

from mura_jobs.errors import InputError
from mura_jobs.gan.load import load_generator
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.job.job import Job
from mura_jobs.job.parts import run_in_parts
from mura_jobs.radiographs.cleaning.shape import sharpen
from mura_jobs.radiographs.packed import Packed, npy_bytes
from mura_jobs.synthetic.amount import Amount
from mura_jobs.synthetic.config import SynthesizeConfig
from mura_jobs.synthetic.output import made_index, write_screened
from mura_jobs.synthetic.sample import batches, sample, wanted_numbers
from mura_jobs.synthetic.screen import screen_in

_PIXELS = "candidates.npy"

Images = NDArray[np.uint8]


def run(config: SynthesizeConfig, job: Job) -> None:
    """Draw this share's candidates; the last share gates all of them and publishes the data set.

    Raises:
        InputError: `train` or `select` lacks an image that the gates need, the generator's resolution is not
            the data set's, or the gates let too few candidates pass.
    """
    if not job.world.is_main:
        return
    real = Packed.load(job.inputs["preprocess"], job.scratch / "real")
    train = real.where(split="train", label=config.label)
    wanted = Amount.parse(config.amount).images(len(train))
    share = config.gates.rejected_share if config.gates.any_on else 0.0
    candidates = wanted_numbers(wanted, share)

    def make(part: Draft) -> Mapping[str, Any]:
        images = _draw(config, job, candidates, real.resolution)
        part.put(_PIXELS, npy_bytes(images))
        return {"images": len(images)}

    def merge(parts: Sequence[Artifact]) -> Mapping[str, Any]:
        images = _assemble(config, job, parts, candidates, real.resolution)
        screening = screen_in(job, config.gates, images, config.label, real, wanted=wanted)
        index = _provenance(config, job, screening.kept, sorted(set(train.index["body_part"])))
        write_screened(
            job,
            screening,
            index,
            images,
            shard_images=config.shard_images,
            grid_images=config.grid_images,
        )
        return {
            "images": len(index),
            "resolution": real.resolution,
            **screening.facts,
            "generator": job.inputs[config.generator_place(config.label)].manifest.digest,
        }

    run_in_parts(job, make, merge)


def _draw(config: SynthesizeConfig, job: Job, candidates: int, resolution: int) -> Images:
    """This share's candidates in the order of their batches, uint8 (N, R, R)."""
    place = config.generator_place(config.label)
    generator = load_generator(job.inputs[place], config.label).to(job.world.device)
    found = generator.config.resolution
    if found != resolution:
        raise InputError(
            f"{place} draws {found}² pixels, the data set has {resolution}²; train the "
            f"generator on this data set"
        )
    mine = batches(candidates, config.batch, job.index, job.count)
    drawn = [np.empty((0, resolution, resolution), np.uint8)]
    with job.events.progress(len(mine) * config.batch, "img", f"draw {config.label}") as bar:
        for numbers in mine:
            images = sample(
                generator,
                numbers,
                seed=config.seed,
                label=config.label,
                psi=config.psi,
                noise=config.noise,
                device=job.world.device,
            )
            drawn.append(np.stack([sharpen(image, config.sharpen) for image in images]))
            bar.advance(len(numbers))
            job.shutdown.check()
    return np.concatenate(drawn)


def _assemble(
    config: SynthesizeConfig, job: Job, parts: Sequence[Artifact], candidates: int, resolution: int
) -> Images:
    """All candidates in the order of their numbers."""
    images = np.empty((candidates, resolution, resolution), np.uint8)
    for index, part in enumerate(parts):
        drawn = np.load(part.fetch(_PIXELS, job.scratch / f"part-{index}"))
        numbers = [
            number for batch in batches(candidates, config.batch, index, len(parts)) for number in batch
        ]
        real_numbers = np.array(numbers, np.int64)
        inside = real_numbers < candidates
        images[real_numbers[inside]] = drawn[inside]
    return images


def _provenance(
    config: SynthesizeConfig, job: Job, numbers: NDArray[np.int64], body_parts: list[str]
) -> pd.DataFrame:
    """Who each image is and where it comes from."""
    names = [f"synthetic-{config.label}-{number:07d}" for number in numbers]
    return made_index(names, config.label, body_parts).assign(
        seed=config.seed,
        number=numbers,
        psi=config.psi,
        noise=config.noise,
        generator=job.inputs[config.generator_place(config.label)].manifest.digest,
    )
