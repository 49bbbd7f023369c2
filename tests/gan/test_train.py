import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mura_jobs.bucket.base import Bucket, BucketError
from mura_jobs.bucket.local import LocalBucket
from mura_jobs.errors import ConfigError, InputError, Stopped
from mura_jobs.gan.checkpoint import GanCheckpoints
from mura_jobs.gan.config import TrainGanConfig, resolve
from mura_jobs.gan.history import History
from mura_jobs.gan.load import load_generator
from mura_jobs.gan.state import TrainState
from mura_jobs.gan.train import Diverged, run
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.shutdown import Shutdown
from tests.gan.small import settings
from tests.synthetic.toy import job_for, publish, radiographs

PLACE = "train-gan/positive"


def config(**changes: Any) -> TrainGanConfig:  # noqa: ANN401 - fields of several types
    return TrainGanConfig.parse(settings(**changes).plain() | {"label": "positive"})


def bucket_with_images(folder: Path, resolution: int = 16) -> LocalBucket:
    folder.mkdir(exist_ok=True)
    bucket = LocalBucket(folder)
    publish(bucket, "preprocess", *radiographs(20, resolution))
    return bucket


class StopAfter(Shutdown):
    """Asks to stop once it has been looked at so many times: after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self._set = False

    @property
    def requested(self) -> bool:
        """Whether it was looked at too often by now."""
        self.left -= 1
        return self._set or self.left < 0

    @requested.setter
    def requested(self, value: bool) -> None:
        self._set = value


class Gone(BaseException):
    """The process was killed."""


def train(bucket: Bucket, chosen: TrainGanConfig, shutdown: Shutdown | None = None) -> Artifact:
    run(chosen, job_for(bucket, PLACE, chosen, ["preprocess"], shutdown=shutdown))
    return Artifact.open(bucket, f"runs/r/{PLACE}")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return train(bucket_with_images(tmp_path_factory.mktemp("uninterrupted")), config())


def test_the_output_holds_a_generator_and_what_to_look_at(uninterrupted: Artifact) -> None:
    assert {
        "generator.safetensors",
        "config.json",
        "metrics.jsonl",
        "curves.png",
        "tensorboard/events.out.tfevents.0.training",
        "grids/reals.png",
        "grids/interpolation.png",
        "grids/fakes-000000.032.png",
        "grids/fakes-000000.048.png",
    } == set(uninterrupted.names)
    lines = [json.loads(line) for line in uninterrupted.read("metrics.jsonl").splitlines()]
    assert [line["kimg"] for line in lines] == [0.016, 0.032, 0.048]
    assert all(
        {"loss_G", "loss_D_fake", "loss_D_real", "r_t", "p", "path_length"} <= line.keys() for line in lines
    )
    images = load_generator(uninterrupted, "positive")(torch.randn(3, 512), None)
    assert images.shape == (3, 1, 16, 16)


@pytest.mark.parametrize("steps", [1, 4, 7, 10])
def test_stopped_and_resumed_gives_the_same_bit_for_bit(
    tmp_path: Path, uninterrupted: Artifact, steps: int
) -> None:
    """Whether a stop comes between ticks or at their end. The digest covers weights, metrics and pictures."""
    bucket = bucket_with_images(tmp_path)
    with pytest.raises(Stopped):
        train(bucket, config(), StopAfter(steps))
    resumed = train(bucket, config())
    assert resumed.manifest.digest == uninterrupted.manifest.digest
    assert resumed.manifest.objects == uninterrupted.manifest.objects


@pytest.mark.parametrize("writes", [1, 3, 5, 6, 8, 10])
def test_killed_at_any_write_and_resumed_gives_the_same(
    tmp_path: Path, uninterrupted: Artifact, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Also in the middle of a checkpoint or of the output, of which no reader may see a half."""
    bucket = bucket_with_images(tmp_path)
    left = writes

    def counted(method: Any) -> Any:  # noqa: ANN401 - a method of any signature
        def call(*arguments: Any) -> Any:  # noqa: ANN401
            nonlocal left
            left -= 1
            if left < 0:
                raise Gone
            return method(*arguments)

        return call

    with monkeypatch.context() as patched:
        for name in ("write", "create", "delete"):
            patched.setattr(bucket, name, counted(getattr(bucket, name)))
        with pytest.raises(Gone):
            train(bucket, config())
    assert train(bucket, config()).manifest.objects == uninterrupted.manifest.objects


def test_checkpoints_go_once_the_output_is_published(uninterrupted: Artifact) -> None:
    assert not list(uninterrupted.bucket.list(f"runs/r/{PLACE}/checkpoints"))


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    bucket = bucket_with_images(tmp_path)
    with pytest.raises(Stopped):
        train(bucket, config(), StopAfter(5))
    with pytest.raises(ConfigError, match=r"gamma: null → 3\.0"):
        train(bucket, config(gamma=3.0))


def test_a_checkpoint_of_another_number_of_processes_is_refused_with_the_fix(tmp_path: Path) -> None:
    """Where a preset takes the batch from that number. Nothing is trained on with other numbers unsaid."""
    bucket = bucket_with_images(tmp_path)
    chosen = config(batch=None, minibatch_std_group=None)
    job = job_for(bucket, PLACE, chosen, ["preprocess"])
    one, two = (resolve(chosen, 16, 1, size) for size in (1, 2))
    assert (one.batch, two.batch) == (32, 64)
    state = TrainState.fresh(one, chosen, torch.device("cpu"))
    GanCheckpoints(job, one).save(state, History())
    assert GanCheckpoints(job, one).restore(state) == History()
    with pytest.raises(ConfigError, match=r"batch: 32 → 64.*as many processes as before"):
        GanCheckpoints(job, two).restore(state)


def damage(bucket: Bucket, place: str, ending: str) -> None:
    for entry in list(bucket.list(place)):
        if entry.key.endswith(ending):
            bucket.write(entry.key, bucket.read(entry.key)[:-1] + b"\x7f")


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, uninterrupted: Artifact) -> None:
    """And the result is the same. With all of them damaged, or a grid, there is nothing to go on with."""
    place = f"runs/r/{PLACE}/checkpoints"
    bucket = bucket_with_images(tmp_path)
    with pytest.raises(Stopped):
        train(bucket, config(), StopAfter(9))
    damage(bucket, f"{place}/kimg-000000.036", ".safetensors")
    assert train(bucket, config()).manifest.objects == uninterrupted.manifest.objects


@pytest.mark.parametrize(("folder", "ending"), [("kimg", ".safetensors"), ("grids", ".png")])
def test_damage_without_a_way_back_is_named(tmp_path: Path, folder: str, ending: str) -> None:
    bucket = bucket_with_images(tmp_path)
    with pytest.raises(Stopped):
        train(bucket, config(), StopAfter(9))
    damage(bucket, f"runs/r/{PLACE}/checkpoints/{folder}", ending)
    with pytest.raises(InputError, match=f"{folder}.*damaged"):
        train(bucket, config())


def test_a_training_that_diverges_says_so_and_publishes_nothing(tmp_path: Path) -> None:
    bucket = bucket_with_images(tmp_path)
    with pytest.raises(Diverged, match="learning_rate"):
        train(bucket, config(learning_rate=1e30))
    assert not bucket.exists(f"runs/r/{PLACE}/manifest.json")


def test_networks_are_compiled_only_where_a_compiler_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"compile: torch needs one of cc, gcc, clang.*set it to false"):
        train(bucket_with_images(tmp_path), config(compile=True))


def test_images_of_another_size_are_refused_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"28×28 images.*preprocess.resolution to 16 or 32"):
        train(bucket_with_images(tmp_path, 28), config())


def test_a_label_without_training_images_is_refused(tmp_path: Path) -> None:
    bucket = LocalBucket(tmp_path)
    index, images = radiographs(20)
    keep = ((index["label"] == "negative") | (index["split"] != "train")).to_numpy()
    publish(bucket, "preprocess", index[keep].reset_index(drop=True), np.ascontiguousarray(images[keep]))
    with pytest.raises(InputError, match="no image labelled positive"):
        train(bucket, config())


def test_only_images_of_the_label_and_split_are_seen(tmp_path: Path, uninterrupted: Artifact) -> None:
    """Other labels and splits may change as they like."""
    bucket = LocalBucket(tmp_path)
    index, images = radiographs(20)
    other = ((index["label"] != "positive") | (index["split"] != "train")).to_numpy()
    images[other] = 255 - images[other]
    publish(bucket, "preprocess", index, images)
    objects = train(bucket, config()).manifest.objects
    assert objects["generator.safetensors"] == uninterrupted.manifest.objects["generator.safetensors"]


def test_a_bucket_that_is_gone_is_not_a_divergence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = bucket_with_images(tmp_path)

    def gone(*_: object) -> None:
        raise BucketError("gone")

    monkeypatch.setattr(bucket, "write", gone)
    with pytest.raises(BucketError) as error:
        train(bucket, config())
    assert error.value.exit_code == 1


METRICS = {"space": "efficientnet-lite0", "images": 8, "patience": 1}


def test_patience_ends_a_training_which_resumes_exactly(tmp_path: Path) -> None:
    """Distances, the best generator and the early end are the same after a stop between the snapshots."""
    chosen = config(metrics=METRICS, kimg=0.32, snapshot_ticks=1, learning_rate=0.05)
    whole = train(bucket_with_images(tmp_path / "whole"), chosen)
    lines = [json.loads(line) for line in whole.read("metrics.jsonl").splitlines()]
    distances = [line["frechet-distance/efficientnet-lite0"] for line in lines]
    assert lines[-1]["kimg"] < 0.32, "distances of a training this wild don't fall twenty times in a row"
    assert distances[-1] > min(distances)
    assert whole.manifest.summary["generator_kimg"] == lines[distances.index(min(distances))]["kimg"]
    bucket = bucket_with_images(tmp_path / "stopped")
    with pytest.raises(Stopped):
        train(bucket, chosen, StopAfter(6))
    assert train(bucket, chosen).manifest.objects == whole.manifest.objects
