"""The stage `train-gan`: a packed data set and a label in, a generator out."""

from dataclasses import asdict, dataclass
import json
from math import ceil
import resource
import shutil
from time import monotonic

import safetensors.torch
import torch

from mura_jobs.errors import ConfigError, InputError
from mura_jobs.features.space import open_space
from mura_jobs.gan.checkpoint import GanCheckpoints
from mura_jobs.gan.config import Recipe, TrainGanConfig, resolve
from mura_jobs.gan.data import RealImages
from mura_jobs.gan.history import History
from mura_jobs.gan.layers import resolutions
from mura_jobs.gan.load import CONFIG, WEIGHTS
from mura_jobs.gan.pictures import (
    STRIP_STEPS,
    curves_png,
    grid_png,
    interpolation,
    square_grid_png,
)
from mura_jobs.gan.pretrained.transfer import start_from
from mura_jobs.gan.snapshot import Observer
from mura_jobs.gan.state import TrainState
from mura_jobs.gan.step import Step
from mura_jobs.gan.tensorboard import FILE, events_file
from mura_jobs.job.distributed import any_process, barrier
from mura_jobs.job.job import Job
from mura_jobs.radiographs.packed import Packed

STOP_INTERVAL = 8
"""Steps from one to the next at which several processes ask each other whether to stop."""

ALARM_P = 0.8
"""Augmentation probability from which on augmentations leak into what is generated (ADA, section 3.1)."""


COMPILERS = ("cc", "gcc", "clang")
"""What torch takes to compile networks."""


class Diverged(ConfigError):
    """A loss or gradient was not finite. The same configuration would get there again."""


def run(config: TrainGanConfig, job: Job) -> None:
    """Train a generator on the `train` images of a label, or of both, and publish it.

    The output holds the averaged weights, their configuration, metrics (one line a tick), grids and curves;
    all of it is a function of configuration and inputs alone. Times are among the events.

    Raises:
        ConfigError: resolution or batch can't be trained, a checkpoint is of another configuration, or
            networks are to be compiled where no compiler is.
        Diverged: a loss or gradient was not finite.
        InputError: the label has no training images.
        Stopped: SIGTERM came; a checkpoint is in the bucket.
    """
    if config.compile and not any(map(shutil.which, COMPILERS)):
        raise ConfigError(
            f"compile: torch needs one of {', '.join(COMPILERS)}, and none is on the PATH; set it to false "
            "or install a C compiler"
        )
    packed = Packed.load(job.inputs["preprocess"], job.scratch)
    chosen = packed.where(split="train", label=None if config.label == "both" else config.label)
    resolutions(packed.resolution)
    for label in config.labels:
        if label not in set(chosen.index["label"]):
            raise InputError(f"preprocess: no image labelled {label} in the split train; nothing to learn")
    classes = config.labels if config.label == "both" else ()
    recipe = resolve(config, packed.resolution, 1, job.world.size, classes)
    data = RealImages.place(chosen, mirror=config.mirror, seed=config.seed, world=job.world)
    state = TrainState.fresh(recipe, config, torch.device(job.world.device))
    checkpoints = GanCheckpoints(job, recipe)
    history = checkpoints.restore(state)
    if history is None and config.initial is not None:
        for name, fitted in start_from(state, config.initial, job.bucket, config.freeze_d).items():
            if job.world.is_main:
                job.events.emit("initial weights", network=name, **asdict(fitted))
    if job.world.is_main:
        job.events.emit("counts", images=len(chosen), batch=recipe.batch, kimg=config.kimg)
        if history is not None:
            job.events.emit("resumed", kimg=state.images / 1000)
    observer = Observer(config, data, open_space(config.metrics, job.bucket), job.world)
    training = _Training(config, recipe, job, data, state, checkpoints, history or History(), observer)
    training.run()
    if job.world.is_main:
        training.publish()
        checkpoints.clear()
    barrier(job.world)


@dataclass
class _Training:
    """The steps that are left, and what is looked at on the way."""

    config: TrainGanConfig
    recipe: Recipe
    job: Job
    data: RealImages
    state: TrainState
    checkpoints: GanCheckpoints
    history: History
    observer: Observer

    def __post_init__(self) -> None:
        self.images = ceil(self.config.kimg * 1000 / self.recipe.batch) * self.recipe.batch
        self.step = Step(self.recipe, self.config, self.job.world)
        self.saved_at = self.ticked_at = monotonic()
        self.ticked_images = self.state.images

    @property
    def is_over(self) -> bool:
        """Whether all images were seen, or distances have stopped to fall."""
        return self.state.images >= self.images or self.observer.is_patience_over(self.history)

    def run(self) -> None:
        """Train to the end."""
        state, batch, job = self.state, self.recipe.batch, self.job
        rows = job.world.rows(batch)
        if not self.history.grids:
            self.history.grids["grids/reals.png"] = square_grid_png(
                self.data.batch(0, slice(None), self.config.grid_images)
            )
        shown: dict[str, float] = {}
        with job.events.progress(self.images, "img", f"train-gan {self.config.label}") as bar:
            bar.start_at(state.images)
            while not self.is_over:
                label = self.data.labels(state.images, rows, batch) if self.recipe.classes else None
                self.step(state, self.data.batch(state.images, rows, batch), label)
                if self._tick() > self._tick(batch) or state.images == self.images:
                    shown = self._end_tick()
                bar.advance(batch, **shown)
                if self._is_asked_to_stop() and not self.is_over:
                    self._require_finite()
                    self._save()
                    job.shutdown.requested = True  # every process stops, whichever was asked
                    job.shutdown.check()

    def publish(self) -> None:
        """Put and publish the output. Main process only."""
        output, history = self.job.output, self.history
        best = history.best
        generator = self.state.G_ema
        if best is not None:
            generator.load_state_dict(best.weights)
        weights = {name: value.cpu().contiguous() for name, value in generator.state_dict().items()}
        output.put(WEIGHTS, safetensors.torch.save(weights))
        output.put(CONFIG, json.dumps(self.recipe.plain(), indent=1).encode())
        output.put("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in history.metrics).encode())
        for name, data in self._views().items():
            output.put(name, data)
        strip = grid_png(interpolation(generator, self.config.seed), STRIP_STEPS)
        for name, data in {**history.grids, "grids/interpolation.png": strip}.items():
            output.put(name, data)
        kimg = self.state.images / 1000
        output.publish(
            {
                "kimg": kimg,
                "generator_kimg": kimg if best is None else best.kimg,
                "images": len(self.data),
                **history.metrics[-1],
            }
        )

    def _views(self) -> dict[str, bytes]:
        """The record so far, to look at."""
        history = self.history
        return {"curves.png": curves_png(history.metrics), FILE: events_file(history.metrics, history.grids)}

    def _tick(self, ago: int = 0) -> int:
        """The tick's number, of the image that was seen so many images ago."""
        return int((self.state.images - ago) // (self.config.tick_kimg * 1000))

    def _is_asked_to_stop(self) -> bool:
        world, index = self.job.world, self.state.images // self.recipe.batch
        if world.size == 1:
            return self.job.shutdown.requested
        return index % STOP_INTERVAL == 0 and any_process(world, self.job.shutdown.requested)

    def _end_tick(self) -> dict[str, float]:
        """Put the tick on record; returns what is shown beside the bar."""
        self._require_finite()
        state, tick, done = self.state, self._tick(), self.state.images == self.images
        line = {
            "kimg": state.images / 1000,
            **state.averages(),
            "r_t": float(state.r_t),
            "p": float(state.p),
        }
        if self.job.world.is_main and line["p"] >= ALARM_P > self._previous("p"):
            self.job.events.emit(
                "warning",
                p=line["p"],
                message=f"augmentation probability reached {ALARM_P}: generated images may show "
                "augmentations; more training images, mirror or a larger gamma would help",
            )
        is_snapshot = done or tick % self.config.snapshot_ticks == 0
        if is_snapshot:
            self.observer.look(state, self.history, line)
        self.history.metrics.append(line)
        if is_snapshot and not self.is_over and self.job.world.is_main:
            self.checkpoints.show(self._views())
        now = monotonic()
        due = tick % self.config.checkpoint_ticks == 0
        # Processes may disagree about the time, so that each asks the others.
        late = any_process(self.job.world, now - self.saved_at >= self.config.checkpoint_minutes * 60)
        if (due or late) and not done:
            self._save()
        kimg = (state.images - self.ticked_images) / 1000
        seconds_per_kimg = (now - self.ticked_at) / kimg
        self.ticked_at, self.ticked_images = monotonic(), state.images
        shown = {name: line[name] for name in ("loss_G", "loss_D_real", "r_t", "p")}
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        if torch.device(self.job.world.device).type == "cuda":
            memory = torch.cuda.max_memory_allocated(self.job.world.device) / 2**30
        return {"s/kimg": seconds_per_kimg, **shown, "GiB": memory}

    def _previous(self, name: str) -> float:
        return self.history.metrics[-1][name] if self.history.metrics else 0.0

    def _require_finite(self) -> None:
        if self.state.broken.item():
            raise Diverged(
                f"train-gan {self.config.label}: a loss or gradient was not finite before "
                f"{self.state.images / 1000:g} kimg; the weights were left as they were before that step, "
                f"and the last checkpoint is sound. "
                f"Lower learning_rate ({self.recipe.learning_rate:g}) or raise gamma ({self.recipe.gamma:g})"
            )

    def _save(self) -> None:
        if self.job.world.is_main:
            place = self.checkpoints.save(self.state, self.history)
            self.job.events.emit("checkpoint", at=place)
        self.saved_at = monotonic()
