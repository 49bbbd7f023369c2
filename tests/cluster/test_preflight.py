"""What is missing is found before any stage begins, and the message says what to do."""

import json
from pathlib import Path
import subprocess
import sys

import pytest
import torch

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket, ObjectMissing
from mura_jobs.cluster import preflight
from mura_jobs.cluster.record import read
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.stages import RunConfig
from tests.cluster.runs import RUN_ID
from tests.cluster.test_status import call

GENERATED = RunConfig.parse({"phantom": {}, "preprocess": {"source": "raw/phantom/MURA-PHANTOM"}})


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return open_bucket(tmp_path.as_uri())


def lines(bucket: Bucket) -> dict[str, dict[str, object]]:
    data = bucket.read(f"runs/{RUN_ID}/events/preflight-0.jsonl")
    return {line["event"]: line for line in map(json.loads, data.splitlines())}


def test_everything_in_place_is_said_and_recorded(bucket: Bucket) -> None:
    call("preflight", bucket, GENERATED)
    found = lines(bucket)
    assert found.keys() >= {"bucket", "configuration", "scratch", "shared memory", "gpus", "published"}
    assert read(bucket, RUN_ID) == GENERATED


def test_radiographs_are_counted_by_split_and_label(bucket: Bucket) -> None:
    root = "raw/MURA-v1.1"
    for path in (
        "train/XR_SHOULDER/patient00001/study1_positive/image1.png",
        "train/XR_SHOULDER/patient00001/study1_positive/image2.png",
        "valid/XR_SHOULDER/patient00002/study1_negative/image1.png",
        "train_image_paths.csv",
    ):
        bucket.write(f"{root}/{path}", b"x")
    call("preflight", bucket, RunConfig())
    assert lines(bucket)["radiographs"]["images"] == {"train positive": 2, "valid negative": 1}


def test_missing_radiographs_are_unusable_input(bucket: Bucket) -> None:
    with pytest.raises(InputError, match=r"no image under raw/MURA-v1\.1/; upload"):
        call("preflight", bucket, RunConfig())
    assert lines(bucket)["failed"]["exit_code"] == InputError.exit_code


def test_sample_grids_are_looked_for(bucket: Bucket) -> None:
    run = RunConfig.parse(GENERATED.plain() | {"import-grid": {"source": "grids/{label}.png"}})
    bucket.write("grids/positive.png", b"x")
    with pytest.raises(ObjectMissing, match=r"grids/negative\.png"):
        call("preflight", bucket, run)
    bucket.write("grids/negative.png", b"xy")
    call("preflight", bucket, run)
    assert lines(bucket)["sample grids"]["bytes"] == {"grids/negative.png": 2, "grids/positive.png": 1}


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_missing_gpus_are_a_wrong_configuration(bucket: Bucket) -> None:
    with pytest.raises(ConfigError, match="sees 0 of 2"):
        call("preflight", bucket, GENERATED, gpus=2)


def test_too_little_room_is_a_wrong_configuration(bucket: Bucket) -> None:
    with pytest.raises(ConfigError, match="give it a larger volume"):
        call("preflight", bucket, GENERATED, scratch_gib=1e9)


def test_small_shared_memory_is_refused_for_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "SHM_BYTES", 1 << 62)
    assert preflight.require_shm(tmp_path, processes=1, gpus=1) > 0
    with pytest.raises(ConfigError, match="emptyDir of medium Memory"):
        preflight.require_shm(tmp_path, processes=2, gpus=0)


def test_processes_exchange_numbers() -> None:
    """Three real processes sum theirs to 1 + 2 + 3."""
    program = "from mura_jobs.cluster.preflight import exchange; print(exchange('cpu'))"
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=3",
        "--no-python",
    ]
    done = subprocess.run(
        [*torchrun, sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.count("'backend': 'gloo', 'processes': 3") == 3
