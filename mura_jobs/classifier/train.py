"""The stage `train-cnn`: one classifier, of one arm and seed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray
import pandas as pd
import safetensors.torch
from sklearn.metrics import roc_auc_score
import torch
import torch.nn.functional as F

from mura_jobs.classifier.arms import Arm
from mura_jobs.classifier.augment import augment, draw
from mura_jobs.classifier.calls import CALLED_POSITIVE, CHOSEN, MAPS, choose
from mura_jobs.classifier.config import TrainCnnConfig
from mura_jobs.classifier.data import TrainingSet, compose, load
from mura_jobs.classifier.evaluate import (
    Scorer,
    as_json,
    choose_threshold,
    encode,
    headline,
    over_units,
    prepare,
    require_both,
)
from mura_jobs.classifier.gradcam import as_grey, gradcam
from mura_jobs.classifier.optimise import improvements, learning_rate, plateaus
from mura_jobs.classifier.state import TrainState
from mura_jobs.errors import MuraError
from mura_jobs.features.network import build
from mura_jobs.features.pretrained import read_pretrained
from mura_jobs.job.checkpoint import Checkpoints
from mura_jobs.job.config import LABELS, Label
from mura_jobs.job.distributed import all_reduce_mean, any_process
from mura_jobs.job.job import Job
from mura_jobs.job.randomness import stream_key, torch_stream
from mura_jobs.job.world import World
from mura_jobs.radiographs.packed import Packed, npy_bytes


def run(config: TrainCnnConfig, job: Job) -> None:
    """Train a classifier on its arm's images and publish its weights, history and predictions.

    The split `select` alone says which epoch is kept and where the threshold lies; the split `test` is read
    once, after training has ended.

    Raises:
        InputError: a label is missing in a split, synthetic images are too few or do not fit, or pretrained
            weights are not those that were meant.
        Stopped: SIGTERM came; a checkpoint is in the bucket.
    """
    arm, device = Arm.parse(config.arm), job.world.device
    real = Packed.load(job.inputs["preprocess"], job.scratch / "real")
    train, select = real.where(split="train"), real.where(split="select")
    for split in ("train", "select", "test"):
        require_both(real.index.loc[real.index["split"] == split, "label"], f"preprocess: the split {split}")
    synthetic = _synthetic(arm, job)
    indexes = {label: packed.index for label, packed in synthetic.items()}
    images = load(compose(arm, config.seed, train.index, indexes), train, synthetic, device)
    size = config.network.input_size or real.resolution
    pretrained = read_pretrained(config.network, job.bucket)
    network = build(config.network, size, config.seed, pretrained).to(device)
    epoch_steps = math.ceil(len(train.index) / config.batch)
    state = TrainState.fresh(config, network, epoch_steps)
    scorer = Scorer(network, size, config.precision)
    checkpoints = Checkpoints(job)
    if job.world.is_main:
        job.events.emit("counts", **images.counts, epoch_steps=epoch_steps)
    checkpoint = checkpoints.newest()
    if checkpoint is not None:
        state.restore(checkpoint)
        if job.world.is_main:
            job.events.emit("resumed", step=state.step)
    _Training(
        config=config,
        job=job,
        images=images,
        select=select,
        state=state,
        scorer=scorer,
        checkpoints=checkpoints,
        epoch_steps=epoch_steps,
    ).run()

    network.load_state_dict(state.best)
    if job.world.is_main:
        _publish(config, job, real=real, counts=images.counts, state=state, scorer=scorer)
        checkpoints.clear()


@dataclass
class _Training:
    """The steps from a state to the last."""

    config: TrainCnnConfig
    job: Job
    images: TrainingSet
    select: Packed
    state: TrainState
    scorer: Scorer
    checkpoints: Checkpoints
    epoch_steps: int
    """Steps in an epoch."""

    def __post_init__(self) -> None:
        self.steps = self.config.epochs * self.epoch_steps
        self.select_images = torch.from_numpy(self.select.images()).to(self.job.world.device)
        self.select_positive = (self.select.index["label"] == "positive").to_numpy()
        positive, negative = self.images.counts["positive"], self.images.counts["negative"]
        weighted, total = self.config.class_weighting, positive + negative
        self.weight_positive = total / (2 * positive) if weighted else 1.0
        self.weight_negative = total / (2 * negative) if weighted else 1.0

    def run(self) -> None:
        """Take all steps that are left."""
        state, config, job = self.state, self.config, self.job
        with job.events.progress(self.steps, "step", f"{config.arm}, seed {config.seed}") as bar:
            bar.start_at(state.step)
            with _own_global_stream(job.world):
                while state.step < self.steps and not self._is_exhausted():
                    self._step()
                    shown = self._end_epoch() if state.step % self.epoch_steps == 0 else {}
                    bar.advance(1, **shown)
                    if any_process(job.world, job.shutdown.requested):
                        self._save()
                        job.shutdown.requested = True  # every process stops, whichever was asked
                        job.shutdown.check()

    def _step(self) -> None:
        """One step of the world: each process works on its rows of the batch.

        Batch normalisation uses the statistics of a process's own rows; the running statistics are averaged
        over the processes with the gradients, so that all keep the same network.
        """
        state, config, world, seed = self.state, self.config, self.job.world, self.config.seed
        own = world.rows(config.batch)
        rows = torch.from_numpy(self.images.batch(seed, state.step, config.batch)[own]).to(world.device)
        draws = draw(config.batch, torch_stream(seed, "augment", state.step))[own]
        # dropout and stochastic depth draw from the global stream
        torch.manual_seed(stream_key(seed, "network", state.step, world.rank) % 2**63)
        reductions = plateaus(self._improved(), config.optimiser.plateau_epochs)
        rate = learning_rate(config.optimiser, state.step, self.steps, self.epoch_steps, reductions)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        inputs = augment(prepare(self.images.images[rows], self.scorer.size), draws, config.augment)
        positive_N = self.images.positive[rows]
        state.network.train()
        device = torch.device(world.device).type
        with torch.autocast(device, torch.bfloat16, enabled=config.precision == "bfloat16"):
            logits_N = state.network(inputs)
        logits_N = logits_N.float()
        weight_N = torch.where(positive_N > 0, self.weight_positive, self.weight_negative)
        loss = F.binary_cross_entropy_with_logits(logits_N, positive_N, weight_N)
        state.optimiser.zero_grad()
        torch.autograd.backward(loss)
        right = ((logits_N.detach() > 0) == (positive_N > 0)).float().mean()
        measured = torch.stack([loss.detach(), right])
        gradients = [weight.grad for weight in state.network.parameters() if weight.grad is not None]
        statistics = [value for value in state.network.buffers() if value.is_floating_point()]
        all_reduce_mean(world, [measured, *gradients, *statistics])
        state.optimiser.step()
        if state.average:
            state.average.update(state.step)
        state.sums += measured
        state.step += 1

    def _end_epoch(self) -> Mapping[str, float]:
        """Score the split `select`, write the epoch down, and keep what is worth keeping."""
        state, config = self.state, self.config
        loss, right = (state.sums / self.epoch_steps).tolist()
        logits_N = self._select_logits()
        if not (math.isfinite(loss) and np.isfinite(logits_N).all()):
            raise MuraError(
                f"loss or logits are not finite in the epoch that ended at step {state.step} (loss {loss}); "
                f"lower optimiser.lr ({config.optimiser.lr}), or use precision: float32. The last checkpoint "
                f"is from before"
            )
        positive_N = self.select_positive
        weight_N = np.where(positive_N, self.weight_positive, self.weight_negative)
        select_loss = float((weight_N * np.logaddexp(0, np.where(positive_N, -logits_N, logits_N))).mean())
        auroc = float(roc_auc_score(positive_N, logits_N))
        state.sums.zero_()
        state.history.append(
            {
                "epoch": len(state.history) + 1,
                "step": state.step,
                "lr": state.optimiser.param_groups[0]["lr"],
                "train_loss": loss,
                "train_accuracy": right,
                "select_loss": select_loss,
                "select_auroc": auroc,
            }
        )
        if self._improved()[-1]:
            state.keep()
        if len(state.history) % config.checkpoint_epochs == 0 and state.step < self.steps:
            self._save()
        return {"loss": loss, "select_auroc": auroc}

    def _select_logits(self) -> NDArray[np.float64]:
        """Logits of the split `select`; the processes share the images, and all learn the same."""
        world = self.job.world
        shares = np.array_split(np.arange(len(self.select_images)), world.size)
        logits = torch.zeros(len(self.select_images), device=world.device)
        own = (
            slice(shares[world.rank][0], shares[world.rank][-1] + 1) if len(shares[world.rank]) else slice(0)
        )
        with self.state.scored_weights():
            logits[own] = self.scorer.logits(self.select_images[own], self.config.batch)
        all_reduce_mean(world, [logits])
        return logits.cpu().double().numpy() * world.size

    def _improved(self) -> list[bool]:
        return improvements(self.state.history, self.config.criterion)

    def _is_exhausted(self) -> bool:
        """Whether `patience` epochs in a row brought nothing."""
        patience, improved = self.config.patience, self._improved()
        return patience is not None and len(improved) > patience and not any(improved[-patience:])

    def _save(self) -> None:
        if self.job.world.is_main:
            state = self.state
            self.checkpoints.save(f"step-{state.step:09d}", state.tensors(), state.record)


def _publish(
    config: TrainCnnConfig,
    job: Job,
    *,
    real: Packed,
    counts: Mapping[str, int],
    state: TrainState,
    scorer: Scorer,
) -> None:
    """Fix the thresholds on `select`, predict `test` for the first and only time, and publish."""
    device = job.world.device
    selected = scorer.predict(real.where(split="select"), config.batch, device)
    thresholds = {
        unit: choose_threshold(positive_N, probability_N, config.threshold)
        for unit, (positive_N, probability_N) in over_units(selected).items()
    }
    tested = scorer.predict(real.where(split="test"), config.batch, device)
    history = pd.DataFrame(state.history)
    improved = improvements(state.history, config.criterion)
    metrics = {
        "thresholds": thresholds,
        "input_size": scorer.size,
        "best_epoch": max(epoch for epoch, better in enumerate(improved, start=1) if better),
        "epochs": len(history),
        "steps": state.step,
        "training_images": dict(counts),
        "select": headline(selected, thresholds),
        "test": headline(tested, thresholds),
    }
    weights = {name: value.cpu().contiguous() for name, value in state.best.items()}
    job.output.put("weights.safetensors", safetensors.torch.save(weights))
    job.output.put("history.csv", history.to_csv(index=False, lineterminator="\n").encode())
    job.output.put("predictions.parquet", encode(pd.concat([selected, tested], ignore_index=True)))
    job.output.put("metrics.json", as_json(metrics))
    if config.gradcam_images:
        chosen = choose(tested, thresholds["image"], config.gradcam_images)
        job.output.put(CHOSEN, encode(chosen))
        job.output.put(MAPS, npy_bytes(_maps(chosen, real, scorer, device)))
    job.output.publish(metrics)


def _maps(chosen: pd.DataFrame, real: Packed, scorer: Scorer, device: str) -> NDArray[np.uint8]:
    """What speaks for each call, in the place and at the size of the packed image."""
    rows = pd.Index(real.index["key"]).get_indexer(chosen["key"])
    images = prepare(torch.from_numpy(real.images(rows)).to(device), scorer.size)
    called = torch.tensor([call in CALLED_POSITIVE for call in chosen["call"]], device=device)
    return as_grey(gradcam(scorer.network, images, called), real.resolution)


def _synthetic(arm: Arm, job: Job) -> dict[Label, Packed]:
    if not arm.has_synthetic:
        return {}
    return {label: Packed.load(job.inputs[f"synthesize/{label}"], job.scratch / label) for label in LABELS}


@contextmanager
def _own_global_stream(world: World) -> Iterator[None]:
    """Put the global streams, which the network draws from, back as they were afterwards."""
    devices = [world.device] if world.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        yield
