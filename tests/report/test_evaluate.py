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
from mura_jobs.classifier.train import run as train
from mura_jobs.cli import main
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.radiographs.config import PreprocessConfig
from mura_jobs.radiographs.packed import write_packed
from mura_jobs.report.config import EvaluateConfig
from mura_jobs.report.evaluate import resolve, run
from mura_jobs.stages import EVALUATE
from tests.radiographs.trees import mura_tree, put
from tests.synthetic.toy import job_for, publish, radiographs

SEEDS = ("train-cnn/real/seed-0", "train-cnn/real/seed-1")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    """A run of two classifiers, and other radiographs, packed and raw."""
    bucket = open_bucket(tmp_path_factory.mktemp("bucket").as_uri())
    settings = PreprocessConfig(body_parts=("XR_SHOULDER",), resolution=16)
    draft = Draft(bucket, "runs/r/preprocess", stage="preprocess", config=settings.plain(), inputs={})
    write_packed(draft, *radiographs(60, finding=60), shard_images=64)
    draft.publish({})
    publish(bucket, "unseen", *radiographs(60, 24, finding=60, seed=1))
    for seed in (0, 1):
        config = TrainCnnConfig.parse({"batch": 16, "epochs": 2, "arm": "real", "seed": seed})
        train(config, job_for(bucket, SEEDS[seed], config, ["preprocess"]))
    tree = mura_tree(24)
    put(bucket, "raw/both", tree)
    for folder in ("train", "valid"):
        part = {path: data for path, data in tree.items() if path.split("/")[1].startswith(folder)}
        put(bucket, f"raw/{folder}", part)
    return bucket


def evaluate(bucket: Bucket, name: str, **values: object) -> Artifact:
    config = EvaluateConfig.parse({"name": name, "models": ["train-cnn"], "resamples": 200, **values})
    config = resolve(bucket, "r", config)
    run(config, job_for(bucket, f"evaluate/{name}", config, EVALUATE.needs(config)))
    return Artifact.open(bucket, f"runs/r/evaluate/{name}")


def metrics(artifact: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(artifact.read("metrics.json"))
    return found


def predictions(artifact: Artifact) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(artifact.read("predictions.parquet")))


def test_on_the_runs_own_test_split_it_finds_what_training_found(bucket: Bucket) -> None:
    same = evaluate(bucket, "same", data="runs/r/preprocess", split="test")
    found = predictions(same)
    for seed, place in enumerate(SEEDS):
        trained = Artifact.open(bucket, f"runs/r/{place}")
        own = predictions(trained)
        own = own[own["split"] == "test"].reset_index(drop=True)
        again = found[found["classifier"] == place].drop(columns="classifier").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, again, check_exact=False)
        for unit in ("image", "study"):
            scores = metrics(same)["arms"][0][unit]["scores"]
            for score in ("auroc", "accuracy", "kappa"):
                assert scores[score]["seeds"][seed] == pytest.approx(metrics(trained)["test"][unit][score])
    assert metrics(same)["data"]["trained_on"] == 0


def test_means_over_seeds_have_intervals_over_patients(bucket: Bucket) -> None:
    """Also where the images have another resolution than those trained on."""
    arm = metrics(evaluate(bucket, "unseen", data="runs/r/unseen"))["arms"][0]
    assert arm["classifiers"] == list(SEEDS)
    for unit in ("image", "study"):
        score = arm[unit]["scores"]["accuracy"]
        assert score["value"] == pytest.approx(np.mean(score["seeds"]))
        assert score["low"] < score["value"] < score["high"]


@pytest.mark.parametrize(
    ("source", "split", "folder"),
    [
        ("raw/valid", None, "valid"),
        ("raw/train", None, "train"),
        ("raw/both", None, "valid"),
        ("raw/both", "train", "train"),
    ],
)
def test_raw_radiographs_of_any_folder_are_packed_as_the_runs_own_and_scored(
    bucket: Bucket, source: str, split: str | None, folder: str
) -> None:
    name = f"{source.replace('/', '-')}-{split or 'any'}"
    artifact = evaluate(bucket, name, source=source, split=split)
    table = predictions(artifact)
    assert set(table["key"].str.split("/").str[1]) == {folder}
    assert set(table["split"]) == {"test"}
    assert metrics(artifact)["data"]["images"] == len(table) / 2
    packed = Artifact.open(bucket, f"{artifact.prefix}/data").manifest
    trained = Artifact.open(bucket, "runs/r/preprocess").manifest
    differing = {name for name in trained.config if packed.config[name] != trained.config[name]}
    assert differing == {"source"}


def test_images_that_were_trained_on_are_counted(bucket: Bucket) -> None:
    artifact = evaluate(bucket, "seen", data="runs/r/preprocess", split="train")
    assert metrics(artifact)["data"]["trained_on"] == len(predictions(artifact)) / 2


def test_folders_of_classifiers_become_the_published_ones_in_them(bucket: Bucket) -> None:
    def models(*names: str) -> tuple[str, ...]:
        config = EvaluateConfig.parse({"name": "x", "models": list(names), "data": "runs/r/unseen"})
        return resolve(bucket, "r", config).models

    assert models("train-cnn") == models("train-cnn/real/") == SEEDS
    assert models(SEEDS[1]) == SEEDS[1:]
    assert models(SEEDS[1], "train-cnn/real") == SEEDS[::-1]
    with pytest.raises(ConfigError, match="train-cnn/nope holds no published classifier"):
        models("train-cnn/nope")


def test_what_cannot_be_scored_is_refused(bucket: Bucket) -> None:
    with pytest.raises(ConfigError, match=r"give source .* or data .*, and not both"):
        EvaluateConfig.parse({"name": "x"})
    with pytest.raises(InputError, match="no split select; they have test"):
        evaluate(bucket, "empty", source="raw/valid", split="select")
    index, images = radiographs(20, finding=60)
    publish(bucket, "one-label", index.assign(label="positive"), images)
    with pytest.raises(InputError, match="no negative one"):
        evaluate(bucket, "one", data="runs/r/one-label")


def test_the_command_prints_the_scores_and_says_where_they_are(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    where = ["--bucket", bucket.url, "--run-id", "r", "--scratch", str(tmp_path), "--log", "json"]
    what = ["--name", "printed", "--models", "train-cnn/real", "--source", "raw/valid"]
    for _ in range(2):  # the second finds it published
        assert main(["evaluate", *where, *what, "--threads", "1"]) == 0
        shown = capsys.readouterr().out
        assert "AUROC" in shown
        assert "runs/r/evaluate/printed/" in shown
    assert main(["evaluate", *where, *what, "--count", "2"]) == 64
