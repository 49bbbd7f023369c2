"""How long StyleGAN2-ADA's training step takes, phase by phase.

    python -m tests.benchmarks.gan_step --case sheet --threads 2
    python -m tests.benchmarks.gan_step --case grey --precision bfloat16

`sheet` is the configuration of which the public release's figures are known: 64×64 images, batch 16, at most
128 channels. `grey` is one channel at 32, 64 and 128. Times are medians; the machine should do nothing else.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
import os
import resource
from statistics import median
from time import perf_counter

import numpy as np
import torch

from mura_jobs.gan.config import Precision, Recipe, TrainGanSettings, resolve
from mura_jobs.gan.data import RealImages
from mura_jobs.gan.state import TrainState
from mura_jobs.gan.step import ADAPTATION_INTERVAL, Step
from mura_jobs.job.world import World
from tests.gan.small import packed

PHASES = {
    "generator_main": "Gmain",
    "generator_regulariser": "Greg",
    "discriminator_main": "Dmain",
    "discriminator_regulariser": "Dreg",
    "adapt": "adapt",
}

RELEASE_S_PER_KIMG = {0.0: 120.6, 0.5: 147.2}
"""The public release at the case `sheet`, float32, two threads of a 2-core machine."""

CASES = {"sheet": [(64, 3)], "grey": [(32, 1), (64, 1), (128, 1)]}


class TimedStep(Step):
    """A step that keeps the time of its phases."""

    times: dict[str, list[float]]

    @contextmanager
    def timed(self) -> Iterator[dict[str, list[float]]]:
        """Time the phases of the steps taken meanwhile."""
        times: dict[str, list[float]] = {phase: [] for phase in PHASES.values()}

        def timing(phase: str, method: Callable[..., None]) -> Callable[..., None]:
            def call(*arguments: object) -> None:
                start = perf_counter()
                method(*arguments)
                times[phase].append(perf_counter() - start)

            return call

        for name, phase in PHASES.items():
            object.__setattr__(self, name, timing(phase, getattr(self, name)))
        yield times
        for name in PHASES:
            object.__delattr__(self, name)


def measure(recipe: Recipe, settings: TrainGanSettings, channels: int, steps: int) -> Mapping[str, float]:
    """Median seconds of each phase, of fetching data, and of everything a step does beside its phases."""
    side, batch = recipe.network.resolution, recipe.batch
    pixels = np.random.default_rng(0).integers(0, 256, (512, side, side), dtype=np.uint8)
    data = RealImages.place(packed(pixels), mirror=False, seed=0, world=World())
    state = TrainState.fresh(recipe, settings, torch.device("cpu"))
    step = TimedStep(recipe, settings, World())
    fetches, others = [], []
    step(state, data.batch(0, slice(None), batch).expand(-1, channels, -1, -1))
    with step.timed() as times:
        for _ in range(steps):
            before = sum(map(sum, times.values()))
            start = perf_counter()
            real = data.batch(state.images, slice(None), batch).expand(-1, channels, -1, -1)
            fetched = perf_counter()
            step(state, real)
            fetches.append(fetched - start)
            others.append(perf_counter() - fetched - (sum(map(sum, times.values())) - before))
    found = {phase: median(values) for phase, values in times.items()}
    return found | {"other": median(others), "data": median(fetches)}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, default="sheet")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--p", type=float, nargs="+", default=[0.0, 0.2, 0.5])
    parser.add_argument("--steps", type=int, default=10, help=f"at least {ADAPTATION_INTERVAL}")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    load = os.getloadavg()[0]
    print(f"torch {torch.__version__}, {given.threads} threads, {given.precision}, load before {load:.1f}")
    columns = [*PHASES.values(), "other", "data"]
    print("images       p   " + "".join(f"{name:>9}" for name in columns) + "   s/kimg  of release  peak GiB")
    for side, channels in CASES[given.case]:
        for p in given.p:
            settings = benchmark_settings(p, given.precision)
            recipe = resolve(settings, side, channels, 1)
            found = measure(recipe, settings, channels, given.steps)
            weights = {
                "Greg": 1 / 4,
                "Dreg": 1 / 16,
                "adapt": 1 / ADAPTATION_INTERVAL,
            }
            total = sum(seconds * weights.get(name, 1.0) for name, seconds in found.items())
            per_kimg = total * 1000 / recipe.batch
            release = RELEASE_S_PER_KIMG.get(p) if given.case == "sheet" else None
            ratio = f"{release / per_kimg:9.2f}×" if release else " " * 10
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            cells = "".join(f"{found[name] * 1000:7.1f}ms" for name in columns)
            print(
                f"{side:4}² × {channels}  {p:4.1f}  {cells} {per_kimg:8.1f}  {ratio}  {peak:8.2f}", flush=True
            )


def benchmark_settings(p: float, precision: Precision) -> TrainGanSettings:
    """The sheet's networks. Both regularisers come every second step, so that a few steps time them often."""
    return TrainGanSettings(
        preset="auto",
        batch=16,
        channel_base=4096,
        channel_max=128,
        mapping_layers=2,
        augment_initial=p,
        augment_kimg=1e9,
        path_length_interval=2,
        r1_interval=2,
        precision=precision,
    )


if __name__ == "__main__":
    main()
