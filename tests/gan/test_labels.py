"""One generator for both labels."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from mura_jobs.bucket.local import LocalBucket
from mura_jobs.errors import InputError, Stopped
from mura_jobs.gan.config import NetworkConfig, TrainGanConfig, resolve
from mura_jobs.gan.data import RealImages
from mura_jobs.gan.generator import Generator
from mura_jobs.gan.labels import numbered, one_hot, side_by_side
from mura_jobs.gan.load import load_generator
from mura_jobs.gan.state import TrainState
from mura_jobs.gan.step import Step
from mura_jobs.gan.train import run
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.config import LABELS
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.world import World
from mura_jobs.radiographs.packed import Packed
from tests.gan.small import settings
from tests.gan.test_train import StopAfter, bucket_with_images
from tests.synthetic.toy import job_for, publish, radiographs

PLACE = "train-gan/both"


def train(bucket: LocalBucket, shutdown: Shutdown | None = None) -> Artifact:
    chosen = TrainGanConfig.parse(settings().plain() | {"label": "both"})
    run(chosen, job_for(bucket, PLACE, chosen, ["preprocess"], shutdown=shutdown))
    return Artifact.open(bucket, f"runs/r/{PLACE}")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return train(bucket_with_images(tmp_path_factory.mktemp("both")))


@pytest.mark.parametrize("mirror", [False, True])
def test_labels_are_those_of_the_images(tmp_path: Path, mirror: bool) -> None:
    index, images = radiographs(20)
    images[:] = np.where(index["label"] == "positive", 255, 0)[:, None, None]
    packed = Packed.load(publish(LocalBucket(tmp_path), "preprocess", index, images), tmp_path / "scratch")
    data = RealImages.place(packed, mirror=mirror, seed=1, world=World())
    for first, rows in ((0, slice(None)), (36, slice(3, 7))):
        white = data.batch(first, rows, 8)[:, 0, 0, 0] == 1
        expected = torch.stack([white, ~white], dim=1).float()
        assert torch.equal(data.labels(first, rows, 8), expected)
    assert LABELS == ("positive", "negative")


def test_classes_share_each_row_of_a_grid() -> None:
    assert side_by_side(8, 4, 2).tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert side_by_side(6, 3, 2).tolist() == [0, 0, 1, 0, 0, 1]
    assert side_by_side(5, 3, 0).tolist() == [0] * 5
    assert numbered(["negative", "positive"]).tolist() == [1, 0]


def test_both_networks_heed_the_labels() -> None:
    """The same images with other labels make another step, through embeddings and projection."""
    chosen = settings()
    recipe = resolve(chosen, 16, 1, 1, LABELS)
    real = torch.rand(4, 1, 16, 16) * 2 - 1
    ends = []
    for classes in ([0, 0, 1, 1], [1, 1, 0, 0]):
        state = TrainState.fresh(recipe, chosen, torch.device("cpu"))
        before = {name: tensor.clone() for name, tensor in state.tensors().items()}
        step = Step(recipe, chosen, World())
        for _ in range(2):
            step(state, real, one_hot(torch.tensor(classes), 2))
        for name in ("G.mapping.embed.weight", "D.mapping.embed.weight", "D.mapping.fc7.bias"):
            assert not torch.equal(state.tensors()[name], before[name]), name
        ends.append(state)
    for name in ("G.mapping.fc0.weight", "D.b4.out.weight"):
        assert not torch.equal(ends[0].tensors()[name], ends[1].tensors()[name]), name


def test_a_published_generator_draws_each_label(published: Artifact) -> None:
    """As a generator of that label alone, and as the conditional one draws it."""
    recipe = json.loads(published.read("config.json"))
    assert recipe["classes"] == ["positive", "negative"]
    conditional = Generator(NetworkConfig.parse(recipe["network"]))
    conditional.load_state_dict(safetensors.torch.load(published.read("generator.safetensors")))
    z = torch.randn(1, 512)
    images = [load_generator(published, label)(z, None, psi=0.7) for label in LABELS]
    for image, row in zip(images, torch.eye(2), strict=True):
        torch.testing.assert_close(image, conditional(z, None, row[None], psi=0.7), rtol=1e-4, atol=1e-5)
    assert images[0].shape == (1, 1, 16, 16)
    assert not torch.allclose(images[0], images[1], atol=1e-3)


def test_stopped_and_resumed_gives_the_same_bit_for_bit(tmp_path: Path, published: Artifact) -> None:
    bucket = bucket_with_images(tmp_path)
    with pytest.raises(Stopped):
        train(bucket, StopAfter(6))
    assert train(bucket).manifest.objects == published.manifest.objects


def test_both_labels_must_have_images(tmp_path: Path) -> None:
    bucket = LocalBucket(tmp_path)
    index, images = radiographs(20)
    keep = (index["label"] == "negative").to_numpy()
    publish(bucket, "preprocess", index[keep].reset_index(drop=True), images[keep])
    with pytest.raises(InputError, match="no image labelled positive"):
        train(bucket)
