from hashlib import sha256
import json
from pathlib import Path
import subprocess
import sys

import pandas as pd
import pytest
import safetensors.torch
import torch
import torchvision
import yaml

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Artifact
from tests.synthetic.toy import publish, radiographs

ARM = ["--arm", "real", "--seed", "0", "--device", "cpu", "--threads", "1", "--log", "json"]


def train(bucket: Bucket, config: Path, processes: int) -> Artifact:
    """Run the stage as a pod does, alone or under torchrun."""
    stage = ["train-cnn", "--bucket", bucket.url, "--run-id", "r", "--config", str(config), *ARM]
    several = ["-m", "mura_jobs.cluster.launch", "--processes", str(processes), "--", *stage]
    command = [sys.executable, *(several if processes > 1 else ["-m", "mura_jobs", *stage])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return Artifact.open(bucket, "runs/r/train-cnn/real/seed-0")


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    bucket = open_bucket(tmp_path.as_uri())
    publish(bucket, "preprocess", *radiographs(60, finding=60))
    return bucket


def test_two_processes_train_what_one_trains(bucket: Bucket, tmp_path: Path) -> None:
    """To rounding, where no batch statistics come in: images, their order and their changes are the same."""
    weights = safetensors.torch.save(torchvision.models.get_model("resnet18", weights=None).state_dict())
    bucket.write("weights.safetensors", weights)
    network = {"pretrained": "weights.safetensors", "pretrained_sha256": sha256(weights).hexdigest()}
    config = tmp_path / "run.yaml"
    settings = {"network": network | {"freeze_backbone": True}, "batch": 16, "epochs": 2}
    config.write_text(yaml.safe_dump({"train-cnn": settings}))
    alone = train(bucket, config, 1)
    before = safetensors.torch.load(alone.read("weights.safetensors"))
    threshold = json.loads(alone.read("metrics.json"))["thresholds"]
    bucket.delete([entry.key for entry in list(bucket.list("runs/r/train-cnn"))])
    together = train(bucket, config, 2)
    after = safetensors.torch.load(together.read("weights.safetensors"))
    assert before.keys() == after.keys()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-6)
    assert json.loads(together.read("metrics.json"))["thresholds"] == pytest.approx(threshold, abs=1e-4)


@pytest.mark.slow
def test_all_processes_keep_the_same_network(bucket: Bucket, tmp_path: Path) -> None:
    """With batch statistics of their own: the scores of `select`, made in shares, are one network's."""
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"train-cnn": {"batch": 16, "epochs": 2}}))
    artifact = train(bucket, config, 2)
    table = pd.read_parquet(artifact.fetch("predictions.parquet", tmp_path)).query("split == 'select'")
    history = pd.read_csv(artifact.fetch("history.csv", tmp_path))
    best = json.loads(artifact.read("metrics.json"))["best_epoch"]
    positive = (table["label"] == "positive").to_numpy()
    logit = torch.tensor(table["logit"].to_numpy())
    loss = torch.nn.functional.softplus(torch.where(torch.tensor(positive), -logit, logit)).mean()
    assert history["select_loss"][best - 1] == pytest.approx(loss.item(), rel=1e-4)
