from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mura_jobs.bucket.base import Bucket, BucketError
from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.radiographs.packed import COLUMNS, Packed, write_packed


def index_of(images: int) -> pd.DataFrame:
    numbers = np.arange(images)
    return pd.DataFrame(
        {
            "key": [f"image{number:03d}" for number in numbers],
            "patient": [f"patient{number // 2}" for number in numbers],
            "study": [f"patient{number // 2}/study1" for number in numbers],
            "body_part": "XR_SHOULDER",
            "label": np.where(numbers % 2, "positive", "negative"),
            "split": np.where(numbers % 3, "train", "test"),
            "extra": numbers * 1.5,
        }
    )


def pictures(images: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (images, 8, 8), np.uint8)


def packed(bucket: Bucket, folder: Path, images: int = 10, shard_images: int = 4) -> Packed:
    draft = Draft(bucket, "runs/r/preprocess", stage="preprocess", config={}, inputs={})
    write_packed(draft, index_of(images), pictures(images), shard_images=shard_images)
    draft.publish({})
    return Packed.load(Artifact.open(bucket, "runs/r/preprocess"), folder)


@pytest.mark.parametrize("shard_images", [1, 4, 10, 100])
def test_what_was_written_is_read(bucket: Bucket, tmp_path: Path, shard_images: int) -> None:
    data = packed(bucket, tmp_path / "local", 10, shard_images)
    np.testing.assert_array_equal(data.images(), pictures(10))
    assert data.images().dtype == np.uint8
    assert (data.resolution, len(data)) == (8, 10)
    assert tuple(data.index.columns[: len(COLUMNS)]) == COLUMNS
    np.testing.assert_array_equal(data.index["extra"], index_of(10)["extra"])
    assert all(isinstance(shard, np.memmap) for shard in data.shards)


def test_shards_are_numbered(bucket: Bucket, tmp_path: Path) -> None:
    packed(bucket, tmp_path / "local")
    assert Artifact.open(bucket, "runs/r/preprocess").names == [
        *(f"images-0000{number}-of-00003.npy" for number in range(3)),
        "index.parquet",
    ]


def test_a_part_keeps_pictures_and_rows_together(bucket: Bucket, tmp_path: Path) -> None:
    data = packed(bucket, tmp_path / "local")
    part = data.where(split="train", label="positive")
    expected = [number for number in range(10) if number % 2 and number % 3]
    assert list(part.index["key"]) == [f"image{number:03d}" for number in expected]
    np.testing.assert_array_equal(part.images(), pictures(10)[expected])
    np.testing.assert_array_equal(part.images(np.array([2, 0])), pictures(10)[expected][[2, 0]])
    assert len(data.where(split="select")) == 0
    assert data.where(split="select").images().shape == (0, 8, 8)


def test_another_artifact_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    draft = Draft(bucket, "runs/r/other", stage="other", config={}, inputs={})
    draft.put("weights.bin", b"1")
    draft.publish({})
    with pytest.raises(InputError, match=r"holds no index\.parquet"):
        Packed.load(Artifact.open(bucket, "runs/r/other"), tmp_path / "local")


def test_a_bucket_that_is_away_is_no_damage(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exit code that is never retried is for what can't be read."""
    packed(bucket, tmp_path / "first")

    def away(*_: object) -> None:
        raise BucketError("away")

    monkeypatch.setattr(type(bucket), "download", away)
    with pytest.raises(BucketError, match="away"):
        Packed.load(Artifact.open(bucket, "runs/r/preprocess"), tmp_path / "second")
