"""Phantoms for tests, drawn one by one."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.config import Config
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.stage import JobOptions, Outcome, Stage, execute
from mura_jobs.radiographs.config import PhantomConfig
from mura_jobs.radiographs.decode import Grey
from mura_jobs.radiographs.phantom.draw import Truth, draw_image, plan_study


def phantoms(config: PhantomConfig, number: int) -> list[tuple[Grey, Truth]]:
    """The first image of as many patients, as decoded."""
    studies = (plan_study(config, patient, 1) for patient in range(1, number + 1))
    drawn = (draw_image(config, study, 1) for study in studies)
    return [(grey(pixels), truth) for pixels, truth in drawn]


def grey(pixels: NDArray[np.uint8]) -> Grey:
    """One channel from 0 to 1."""
    return np.asarray((pixels if pixels.ndim == 2 else pixels[..., 0]) / 255, np.float32)


def overlap(first: NDArray[np.float64], second: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """Intersection over union of two convex outlines within a picture."""
    height, width = shape
    frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    a, b = (cv2.intersectConvexConvex(c.astype(np.float32), frame)[1] for c in (first, second))
    common = cv2.intersectConvexConvex(a, b)[0]
    return float(common / (cv2.contourArea(a) + cv2.contourArea(b) - common))


def run_share(
    stage: Stage, config: Config, bucket: Bucket, *, run: str = "r", index: int = 0, count: int = 1
) -> Outcome:
    """Run one share of a stage."""
    options = JobOptions(bucket=bucket.url, run_id=run, index=index, count=count, log="json")
    return execute(stage, config, options, Shutdown())


def run_stage(stage: Stage, config: Config, bucket: Bucket, *, run: str = "r") -> Artifact:
    """Run a whole stage and open its output."""
    assert run_share(stage, config, bucket, run=run) == "published"
    return Artifact.open(bucket, stage.prefix(config, run))
