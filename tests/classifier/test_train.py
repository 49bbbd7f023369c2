from collections.abc import Mapping
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.classifier.config import TrainCnnConfig
from mura_jobs.classifier.train import run
from mura_jobs.errors import ConfigError, InputError, MuraError, Stopped
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.shutdown import Shutdown
from tests.synthetic.toy import Images, fakes, job_for, publish, radiographs

QUICK = {"batch": 16, "epochs": 2}
"""72 training images are 5 steps an epoch."""


EXPLODING = {"name": "sgd", "lr": 10.0, "weight_decay": 1.0}


def settings(values: Mapping[str, Any] = QUICK, arm: str = "real") -> TrainCnnConfig:
    return TrainCnnConfig.parse({**QUICK, **values, "arm": arm, "seed": 0})


def inputs_of(config: TrainCnnConfig) -> list[str]:
    made = ["synthesize/positive", "synthesize/negative"] if "synthetic" in config.arm else []
    return ["preprocess", *made]


def train(bucket: Bucket, config: TrainCnnConfig, shutdown: Shutdown | None = None) -> Artifact:
    place = f"train-cnn/{config.arm}/seed-{config.seed}"
    run(config, job_for(bucket, place, config, inputs_of(config), shutdown=shutdown))
    return Artifact.open(bucket, f"runs/r/{place}")


def metrics(artifact: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(artifact.read("metrics.json"))
    return found


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    bucket = open_bucket(tmp_path.as_uri())
    publish(bucket, "preprocess", *radiographs(60, finding=60))
    for label in ("positive", "negative"):
        publish(bucket, f"synthesize/{label}", *fakes(label, 40, finding=60))
    return bucket


class StopAt(Shutdown):
    """SIGTERM during a step, or a death without one."""

    def __init__(self, step: int, *, kill: bool = False) -> None:
        self._left = step
        self._kill = kill
        self._stop = False

    @property
    def requested(self) -> bool:
        """Asked once a step."""
        self._left -= 1
        if self._kill and self._left == 0:
            raise KeyboardInterrupt
        return self._stop or self._left == 0

    @requested.setter
    def requested(self, value: bool) -> None:
        self._stop = value


@pytest.mark.parametrize(
    "values",
    [
        {},
        {
            "optimiser": {"name": "sgd", "lr": 0.01, "schedule": "plateau", "plateau_epochs": 1},
            "ema_epochs": 1.0,
        },
        {"network": {"name": "efficientnet_b0"}, "epochs": 2, "patience": 1},
    ],
    ids=["resnet18", "sgd plateau ema", "dropout"],
)
def test_stopped_and_resumed_training_gives_the_same_bytes(bucket: Bucket, values: dict[str, Any]) -> None:
    """Stopped by SIGTERM in the middle of an epoch, then killed in a later one, then run to the end."""
    config = settings(values)
    with pytest.raises(Stopped):
        train(bucket, config, StopAt(3))
    with pytest.raises(KeyboardInterrupt):
        train(bucket, config, StopAt(4, kill=True))
    resumed = train(bucket, config)
    assert not list(bucket.list(f"{resumed.prefix}/checkpoints/"))
    bucket.delete([entry.key for entry in list(bucket.list(resumed.prefix))])
    whole = train(bucket, config)
    assert resumed.manifest.digest == whole.manifest.digest
    assert resumed.manifest.objects == whole.manifest.objects


def test_a_checkpoint_of_another_configuration_is_refused_by_field(bucket: Bucket) -> None:
    with pytest.raises(Stopped):
        train(bucket, settings(), StopAt(3))
    with pytest.raises(ConfigError, match=r"optimiser\.lr: 0\.001 → 0\.5"):
        train(bucket, settings({"optimiser": {"lr": 0.5}}))


def test_all_arms_of_a_seed_take_equal_steps_and_see_their_own_images(bucket: Bucket) -> None:
    found = {
        arm: metrics(train(bucket, settings({"epochs": 1}, arm)))
        for arm in ("real", "real-duplicated-x0.5", "real+synthetic-x0.5", "synthetic-only", "real-f0.5")
    }
    assert {values["steps"] for values in found.values()} == {5}
    images = {arm: values["training_images"] for arm, values in found.items()}
    assert images["real"] == {"real": 72, "copies": 0, "synthetic": 0, "positive": 36, "negative": 36}
    assert images["real-duplicated-x0.5"] == images["real"] | {"copies": 36, "positive": 54, "negative": 54}
    assert images["real+synthetic-x0.5"] == images["real"] | {"synthetic": 36, "positive": 54, "negative": 54}
    assert images["synthetic-only"] == images["real"] | {"real": 0, "synthetic": 72}
    assert images["real-f0.5"]["real"] == 36


def changed(index: pd.DataFrame, images: Images, splits: tuple[str, ...]) -> tuple[pd.DataFrame, Images]:
    """Other pixels, and the other label, wherever an image lies in one of the splits."""
    here = index["split"].isin(splits).to_numpy()
    other = np.where(here[:, None, None], 255 - images, images).astype(np.uint8)
    swapped = index["label"].map({"positive": "negative", "negative": "positive"})
    return index.assign(label=np.where(here, swapped, index["label"])), other


def publish_changed(bucket: Bucket, splits: tuple[str, ...]) -> None:
    bucket.delete([entry.key for entry in list(bucket.list("runs/"))])
    publish(bucket, "preprocess", *changed(*radiographs(60, finding=60), splits))


def test_the_test_split_decides_nothing(bucket: Bucket) -> None:
    """With other test images and labels, weights, history and threshold are the same to the byte."""
    before = train(bucket, settings())
    threshold = metrics(before)["thresholds"]
    publish_changed(bucket, ("test",))
    after = train(bucket, settings())
    for name in ("weights.safetensors", "history.csv"):
        assert before.manifest.objects[name] == after.manifest.objects[name]
    assert metrics(after)["thresholds"] == threshold
    assert before.manifest.objects["predictions.parquet"] != after.manifest.objects["predictions.parquet"]


def test_the_select_split_is_not_trained_on(bucket: Bucket) -> None:
    """With other select images, only the choice of epoch and threshold may change; here the last is kept."""
    before = train(bucket, settings({"criterion": "last"})).manifest.objects["weights.safetensors"]
    publish_changed(bucket, ("select", "test"))
    assert train(bucket, settings({"criterion": "last"})).manifest.objects["weights.safetensors"] == before


def test_a_strong_finding_is_learned_and_predictions_are_complete(bucket: Bucket) -> None:
    artifact = train(bucket, settings({"epochs": 6}))
    assert artifact.names == [
        "gradcam.npy",
        "gradcam.parquet",
        "history.csv",
        "metrics.json",
        "predictions.parquet",
        "weights.safetensors",
    ]
    assert metrics(artifact)["test"]["study"]["auroc"] > 0.9
    table = pd.read_parquet(io.BytesIO(artifact.read("predictions.parquet")))
    index, _ = radiographs(60)
    expected = pd.concat([index[index["split"] == split] for split in ("select", "test")], ignore_index=True)
    columns = ["key", "patient", "study", "body_part", "split", "label"]
    pd.testing.assert_frame_equal(table[columns], expected[columns], check_dtype=False)
    np.testing.assert_allclose(table["probability"], 1 / (1 + np.exp(-table["logit"])), rtol=1e-6)
    history = pd.read_csv(io.BytesIO(artifact.read("history.csv")))
    assert history["step"].tolist() == [5 * epoch for epoch in range(1, 7)]
    assert metrics(artifact)["best_epoch"] == history["select_auroc"].to_numpy().argmax() + 1


def test_without_a_finding_the_classifier_is_at_chance(bucket: Bucket) -> None:
    """The AUROC of 100 noise images lies within 3.3 standard errors of 1/2 (Hanley and McNeil 1982)."""
    bucket.delete([entry.key for entry in list(bucket.list("runs/"))])
    publish(bucket, "preprocess", *radiographs(200, finding=0))
    auroc = metrics(train(bucket, settings()))["test"]["image"]["auroc"]
    assert abs(auroc - 0.5) < 3.3 * np.sqrt((50 + 50 + 1) / (12 * 50 * 50))


def test_patience_ends_training_early(bucket: Bucket) -> None:
    """Of two labels that can't be told apart, `select` soon tells of no improvement."""
    bucket.delete([entry.key for entry in list(bucket.list("runs/"))])
    publish(bucket, "preprocess", *radiographs(60, finding=0))
    found = metrics(train(bucket, settings({"patience": 1, "epochs": 40})))
    assert found["epochs"] == found["best_epoch"] + 1 < 40


def test_a_loss_that_is_not_finite_stops_before_anything_is_kept(bucket: Bucket) -> None:
    with pytest.raises(MuraError, match=r"not finite .* lower optimiser\.lr"):
        train(bucket, settings({"network": {"name": "resnet18", "head": "flatten"}, "optimiser": EXPLODING}))
    assert not list(bucket.list("runs/r/train-cnn"))


def test_a_split_without_one_of_the_labels_is_refused(bucket: Bucket) -> None:
    bucket.delete([entry.key for entry in list(bucket.list("runs/"))])
    index, images = radiographs(60)
    publish(
        bucket,
        "preprocess",
        index.assign(label=index["label"].where(index["split"] != "select", "positive")),
        images,
    )
    with pytest.raises(InputError, match=r"split select has \d+ images and no negative one"):
        train(bucket, settings())
