"""How fast two processes of one thread train, against one process of two threads; and how soon they begin.

    python -m tests.benchmarks.gan_processes

Both train on the same world batches of the case `sheet` in grey. The start lasts from the command to the end
of a training of one step, on a data set of 64 images. Times are medians; the machine should do nothing else.
"""

import os
from pathlib import Path
from statistics import median
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch

from mura_jobs.bucket.local import LocalBucket
from mura_jobs.gan.config import resolve
from mura_jobs.gan.data import RealImages
from mura_jobs.gan.state import TrainState
from mura_jobs.gan.step import Step
from mura_jobs.job.distributed import world_of
from tests.benchmarks.gan_step import benchmark_settings
from tests.gan.small import packed
from tests.synthetic.toy import publish, radiographs

SIDE, STEPS, STARTS = 64, 12, 3


def train(threads: int) -> None:
    """Print the median seconds of a step, as one of the processes that torchrun started or alone."""
    torch.set_num_threads(threads)
    with world_of(os.environ, "cpu") as world:
        settings = benchmark_settings(0.5, "float32")
        recipe = resolve(settings, SIDE, 1, world.size)
        pixels = np.random.default_rng(0).integers(0, 256, (512, SIDE, SIDE), dtype=np.uint8)
        data = RealImages.place(packed(pixels), mirror=False, seed=0, world=world)
        state = TrainState.fresh(recipe, settings, torch.device("cpu"))
        step = Step(recipe, settings, world)
        seconds = []
        for _ in range(STEPS):
            begin = perf_counter()
            step(state, data.batch(state.images, world.rows(recipe.batch), recipe.batch))
            seconds.append(perf_counter() - begin)
        if world.is_main:
            print(median(seconds[2:]))


def steps(*launcher: str, threads: int) -> float:
    """Seconds a step in processes of their own."""
    command = [sys.executable, *launcher, "-m", "tests.benchmarks.gan_processes", str(threads)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def start(folder: Path) -> float:
    """Seconds from the command to the end of a training of one step."""
    bucket = LocalBucket(folder)
    if not bucket.exists("runs/r/preprocess/manifest.json"):
        publish(bucket, "preprocess", *radiographs(64, SIDE))
    flags = ["--bucket", folder.as_uri(), "--run-id", "r", "--label", "positive", "--replace", "true"]
    flags += ["--kimg", "0.016", "--batch", "16", "--channel-base", "4096", "--channel-max", "128"]
    flags += ["--metrics.space", "none", "--log", "json"]
    begin = perf_counter()
    subprocess.run([sys.executable, "-m", "mura_jobs", "train-gan", *flags], check=True, capture_output=True)
    return perf_counter() - begin


def main() -> None:
    """Print the times and their ratio."""
    if len(sys.argv) > 1:
        train(int(sys.argv[1]))
        return
    print(f"torch {torch.__version__}, load before {os.getloadavg()[0]:.1f}")
    one = steps(threads=2)
    two = steps("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", threads=1)
    print(f"one process of two threads  {one * 1000:7.1f} ms a step")
    print(f"two processes of one thread {two * 1000:7.1f} ms a step, {one / two:.2f} times as fast")
    with TemporaryDirectory() as folder:
        seconds = median(start(Path(folder)) for _ in range(STARTS))
    print(f"from the command to the end of a training of one step: {seconds:.1f} s")


if __name__ == "__main__":
    main()
