"""The stage `synthesize`: a generator in, a packed data set of gated synthetic radiographs out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pandas as pd
import torch

from mura_jobs.errors import InputError
from mura_jobs.gan.load import load_generator
from mura_jobs.gan.pictures import square_grid_png
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.job.job import Job
from mura_jobs.job.parts import run_in_parts
from mura_jobs.radiographs.cleaning.shape import sharpen
from mura_jobs.radiographs.packed import Packed, npy_bytes, write_packed
from mura_jobs.synthetic.amount import Amount
from mura_jobs.synthetic.config import GatesConfig, SynthesizeConfig
from mura_jobs.synthetic.gate import nearest, nearest_earlier, threshold, thumbnails
from mura_jobs.synthetic.sample import batches, sample, wanted_numbers

_PIXELS = "candidates.npy"

Images = NDArray[np.uint8]


def run(config: SynthesizeConfig, job: Job) -> None:
    """Draw this share's candidates; the last share gates all of them and publishes the data set.

    Raises:
        InputError: the label has no image in `train` or `select`, the generator's resolution is not the data
            set's, or the gates let too few candidates pass.
    """
    if not job.world.is_main:
        return
    real = Packed.load(job.inputs["preprocess"], job.scratch / "real")
    train = real.where(split="train", label=config.label)
    select = real.where(split="select", label=config.label)
    for split, packed in (("train", train), ("select", select)):
        if not len(packed):
            raise InputError(
                f"preprocess: the split {split} has no {config.label} image; gates need both splits"
            )
    wanted = Amount.parse(config.amount).images(len(train))
    gated = config.gates.memorisation or config.gates.duplicates
    candidates = wanted_numbers(wanted, config.gates.rejected_share) if gated else wanted

    def make(part: Draft) -> Mapping[str, Any]:
        images = _draw(config, job, candidates, real.resolution)
        part.put(_PIXELS, npy_bytes(images))
        return {"images": len(images)}

    def merge(parts: Sequence[Artifact]) -> Mapping[str, Any]:
        images = _assemble(config, job, parts, candidates, real.resolution)
        index = _provenance(config, job, candidates, sorted(set(train.index["body_part"])))
        index, level = _score(config.gates, index, images, train, select)
        kept, rejected = _choose(config, index, level, wanted)
        write_packed(job.output, index.iloc[kept], images[kept], shard_images=config.shard_images)
        shown = torch.from_numpy(images[kept[: config.grid_images], None]) / 127.5 - 1
        job.output.put("grids/fakes.png", square_grid_png(shown))
        summary = {
            "images": len(kept),
            "resolution": real.resolution,
            "candidates_used": int(kept[-1]) + 1,
            "rejected": rejected,
            "threshold": level,
            "generator": job.inputs[f"train-gan/{config.label}"].manifest.digest,
        }
        job.events.emit("gated", images=len(kept), **rejected, threshold=level)
        return summary

    run_in_parts(job, make, merge)


def _draw(config: SynthesizeConfig, job: Job, candidates: int, resolution: int) -> Images:
    """This share's candidates in the order of their batches, uint8 (N, R, R)."""
    generator = load_generator(job.inputs[f"train-gan/{config.label}"]).to(job.world.device)
    found = generator.config.resolution
    if found != resolution:
        raise InputError(
            f"train-gan/{config.label} draws {found}² pixels, the data set has {resolution}²; train the "
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


def _provenance(config: SynthesizeConfig, job: Job, candidates: int, body_parts: list[str]) -> pd.DataFrame:
    """Who each candidate is and where it comes from."""
    names = [f"synthetic-{config.label}-{number:07d}" for number in range(candidates)]
    return pd.DataFrame(
        {
            "key": [f"synthetic/{config.label}/{name}.png" for name in names],
            "patient": names,
            "study": [f"{name}/study1" for name in names],
            "body_part": "+".join(body_parts),
            "label": config.label,
            "split": "train",
            "seed": config.seed,
            "number": np.arange(candidates),
            "psi": config.psi,
            "noise": config.noise,
            "generator": job.inputs[f"train-gan/{config.label}"].manifest.digest,
        }
    )


def _score(
    gates: GatesConfig, index: pd.DataFrame, images: Images, train: Packed, select: Packed
) -> tuple[pd.DataFrame, float]:
    """Add every gate's score, whether the gate is on or not, and give the distance that is too near."""
    fakes, trained = thumbnails(images, gates.side), thumbnails(train.images(), gates.side)
    level = threshold(nearest(thumbnails(select.images(), gates.side), trained), gates.quantile)
    to_train, to_fakes = nearest(fakes, trained), nearest_earlier(fakes)
    scored = index.assign(
        nearest_train=train.index["key"].to_numpy()[to_train.row],
        train_distance=to_train.distance,
        fake_distance=to_fakes.distance,
    )
    return scored, level


def _choose(
    config: SynthesizeConfig, index: pd.DataFrame, level: float, wanted: int
) -> tuple[NDArray[np.int64], dict[str, int]]:
    """The first candidates that pass, and how many each gate rejected up to the last of them.

    Raises:
        InputError: too few pass.
    """
    gates = config.gates
    too_near = {
        "memorisation": (index["train_distance"] <= level).to_numpy() & gates.memorisation,
        "duplicates": (index["fake_distance"] <= level).to_numpy() & gates.duplicates,
    }
    kept = np.flatnonzero(~np.logical_or.reduce(list(too_near.values())))[:wanted]
    if len(kept) < wanted:
        counts = ", ".join(f"{int(near.sum())} by the gate {name}" for name, near in too_near.items())
        raise InputError(
            f"synthesize/{config.label}: only {len(kept)} of {len(index)} candidates passed, {wanted} are "
            f"wanted; rejected were {counts}, for lying within {level} of a training image or of an earlier "
            f"synthetic one. The generator copies what it was trained on, or draws the same again and again: "
            f"look at its grids, train it with more images, longer, or less long; or ask for fewer "
            f"images, or raise gates.rejected_share"
        )
    used = int(kept[-1]) + 1
    return kept, {name: int(near[:used].sum()) for name, near in too_near.items()}
