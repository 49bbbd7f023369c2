"""The stage `project`: real radiographs and what the generator makes of them."""

import json

import numpy as np
from numpy.typing import NDArray
import safetensors.torch
import torch
from torch import Tensor

from mura_jobs.errors import InputError
from mura_jobs.features.space import open_space
from mura_jobs.gan.generator import Generator
from mura_jobs.job.job import Job
from mura_jobs.radiographs.packed import Packed
from mura_jobs.synthetic.latent.config import ProjectConfig
from mura_jobs.synthetic.latent.pictures import sheet_png
from mura_jobs.synthetic.latent.project import Distance, feature_distance, pixel_distance, project
from mura_jobs.synthetic.latent.styles import open_generator
from mura_jobs.synthetic.sample import to_grey

DESCRIPTION = (
    "Columns: synthetic radiograph of the mean w; radiograph of a patient; synthetic radiograph projected "
    "from it"
)


def run(config: ProjectConfig, job: Job) -> None:
    """Publish w and noise, the distances, and a picture: start, target and result, one row a radiograph.

    Raises:
        InputError: the data set has no such radiograph, or another resolution than the generator.
    """
    generator = open_generator(config, job)
    targets = _targets(config, job, generator.config.resolution)
    device = job.world.device
    wanted = (torch.from_numpy(targets)[:, None].float() / 127.5 - 1).to(device)
    distance = _distance(config, job, wanted)
    first, last = torch.empty(0), torch.empty(0)

    with job.events.progress(config.steps, "step", f"project {config.label}") as bar:

        def each(step: int, apart_N: Tensor) -> None:
            nonlocal first, last
            first, last = (apart_N if step == 0 else first), apart_N
            bar.advance(1, distance=round(float(apart_N.mean()), 5))
            job.shutdown.check()

        found = project(generator, distance, config.keys, config, each)
    mean = found.mean.expand_as(found.w)
    start = _images(generator, mean, generator.constant_noise())
    result = _images(generator, found.w, found.noise)
    rows = list(zip(start, targets, result, strict=True))
    job.output.put("projection.png", sheet_png(rows, config.tile, DESCRIPTION))
    tensors = {"w": found.w, "w_mean": found.mean}
    tensors |= {f"noise{number}": maps for number, maps in enumerate(found.noise)}
    job.output.put(
        "projection.safetensors",
        safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}),
    )
    about = [
        {
            "key": key,
            "distance_start": round(float(first[row]), 6),
            "distance": round(float(last[row]), 6),
            "rms_start": _rms(start[row], targets[row]),
            "rms": _rms(result[row], targets[row]),
            "w_from_mean": round(float((found.w[row] - found.mean).norm()) / found.deviation, 4),
        }
        for row, key in enumerate(config.keys)
    ]
    job.output.put("projection.json", json.dumps(about, indent=1).encode())
    job.output.publish({"radiographs": len(about), "rms": float(np.mean([row["rms"] for row in about]))})


def _targets(config: ProjectConfig, job: Job, resolution: int) -> NDArray[np.uint8]:
    real = Packed.load(job.inputs["preprocess"], job.scratch / "real")
    if real.resolution != resolution:
        raise InputError(
            f"{config.generator_place(config.label)} draws {resolution}² pixels, the data set has "
            f"{real.resolution}²; project what it was trained on"
        )
    place = {key: row for row, key in enumerate(real.index["key"])}
    missing = [key for key in config.keys if key not in place]
    if missing:
        raise InputError(
            f"project.keys: the data set has no {missing[0]}; its keys look like {real.index['key'].iloc[0]}"
        )
    return real.images(np.array([place[key] for key in config.keys]))


def _distance(config: ProjectConfig, job: Job, wanted: Tensor) -> Distance:
    if config.distance == "pixels":
        return pixel_distance(wanted)
    space = open_space(config.features, job.bucket)
    assert space is not None
    return feature_distance(wanted, space.to(job.world.device).embed)


@torch.inference_mode()
def _images(generator: Generator, w_NF: Tensor, noise: list[Tensor]) -> NDArray[np.uint8]:
    return to_grey(generator.synthesis(generator.broadcast(w_NF), noise)).cpu().numpy()


def _rms(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Root mean squared difference in grey values (0 to 255)."""
    return round(float(np.sqrt(np.mean((first.astype(np.float64) - second) ** 2))), 3)
