import json
from pathlib import Path

import pytest
import torch

from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.job.checkpoint import KEPT, Checkpoints
from mura_jobs.job.events import Events
from mura_jobs.job.job import Job
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.world import World

OUTPUT = "runs/r/train-toy"


def job(bucket: Bucket, tmp_path: Path, lr: float = 0.1) -> Job:
    return Job(
        bucket=bucket,
        inputs={},
        output=Draft(bucket, OUTPUT, stage="train-toy", config={"lr": lr}, inputs={"preprocess": "abc"}),
        events=Events(bucket, style="json", run="r", instance="train-toy"),
        shutdown=Shutdown(),
        world=World(),
        scratch=tmp_path,
    )


@pytest.fixture
def checkpoints(bucket: Bucket, tmp_path: Path) -> Checkpoints:
    return Checkpoints(job(bucket, tmp_path))


def save(checkpoints: Checkpoints, step: int) -> str:
    tensors = {"w": torch.full((3,), float(step)), "half": torch.ones(2, 2).bfloat16().t()}
    return checkpoints.save(f"step-{step:09d}", tensors, {"step": step, "history": [{"loss": 0.5}]})


def damage(bucket: Bucket, prefix: str, name: str = "state.safetensors") -> None:
    """One bit of one object is flipped."""
    key = f"{prefix}/{Artifact.open(bucket, prefix).manifest.objects[name].key}"
    data = bytearray(bucket.read(key))
    data[len(data) // 2] ^= 1
    bucket.write(key, bytes(data))


def step(checkpoints: Checkpoints) -> int | None:
    found = checkpoints.newest()
    if found is None:
        return None
    assert found.tensors["w"].tolist() == [found.record["step"]] * 3
    return int(found.record["step"])


def test_the_newest_comes_back_as_it_was_saved(checkpoints: Checkpoints) -> None:
    assert checkpoints.newest() is None
    for number in (9, 10, 100):
        save(checkpoints, number)
    found = checkpoints.newest()
    assert found is not None
    assert found.record == {"step": 100, "history": [{"loss": 0.5}]}
    assert found.tensors["half"].dtype == torch.bfloat16


def test_older_ones_go_and_clearing_leaves_nothing(bucket: Bucket, checkpoints: Checkpoints) -> None:
    for number in range(1, KEPT + 4):
        save(checkpoints, number)
    folder = f"{OUTPUT}/checkpoints/"
    kept = {entry.key.removeprefix(folder).split("/")[0] for entry in bucket.list(folder)}
    assert kept == {f"step-{number:09d}" for number in range(4, KEPT + 4)}
    bucket.write(f"{folder}step-000000009/state.0123456789ab.json", b"{}")  # of an attempt that was killed
    checkpoints.clear()
    assert not list(bucket.list(folder))


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
def test_a_damaged_newest_falls_back_to_the_one_before_and_is_named(
    bucket: Bucket, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is saved next is the newest again, although training had been further before."""
    checkpoints = Checkpoints(job(bucket, tmp_path))
    save(checkpoints, 10)
    bad = save(checkpoints, 50)
    damage(bucket, bad, name)
    assert step(checkpoints) == 10
    (warning,) = [
        line for line in map(json.loads, capsys.readouterr().err.splitlines()) if line["event"] == "warning"
    ]
    assert bad in warning["message"]
    assert "sha256" in warning["message"]
    save(checkpoints, 20)
    assert step(checkpoints) == 20


def test_a_manifest_or_an_object_that_is_gone_is_damage_too(bucket: Bucket, checkpoints: Checkpoints) -> None:
    save(checkpoints, 10)
    bucket.write(f"{save(checkpoints, 20)}/manifest.json", b"{")
    assert step(checkpoints) == 10
    newest = save(checkpoints, 30)
    bucket.delete([f"{newest}/{Artifact.open(bucket, newest).manifest.objects['state.json'].key}"])
    assert step(checkpoints) == 10


def test_where_all_are_damaged_training_does_not_begin_anew_by_itself(
    bucket: Bucket, checkpoints: Checkpoints
) -> None:
    for number in (1, 2):
        damage(bucket, save(checkpoints, number))
    with pytest.raises(InputError, match=r"step-000000001 is damaged.* no other is left"):
        checkpoints.newest()
    assert checkpoints.newest() is None


def test_one_of_another_configuration_is_refused_and_stays(bucket: Bucket, tmp_path: Path) -> None:
    save(Checkpoints(job(bucket, tmp_path)), 10)
    with pytest.raises(ConfigError, match=r"lr: 0\.1 → 0\.2"):
        Checkpoints(job(bucket, tmp_path, lr=0.2)).newest()
    assert step(Checkpoints(job(bucket, tmp_path))) == 10


def test_one_that_another_attempt_clears_away_meanwhile_is_no_damage(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other attempt published, or saved newer ones: what is there now counts."""
    save(checkpoints, 10)
    read = Artifact.read

    def cleared(artifact: Artifact, name: str) -> bytes:
        monkeypatch.setattr(Artifact, "read", read)
        checkpoints.clear()
        save(checkpoints, 20)
        return artifact.read(name)

    monkeypatch.setattr(Artifact, "read", cleared)
    assert step(checkpoints) == 20
