from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
import pytest

from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact
from mura_jobs.radiographs.config import CleaningConfig, PreprocessConfig
from mura_jobs.radiographs.packed import Packed
from mura_jobs.radiographs.preprocess import share_of
from mura_jobs.stages import PREPROCESS
from tests.radiographs.drawing import run_share, run_stage
from tests.radiographs.trees import mura_tree, png, put, zipped

PHANTOM = PreprocessConfig(source="raw/phantom", resolution=32, select_fraction=0.3)
TREE = PreprocessConfig(source="raw/m", resolution=16, select_fraction=0.4)


def objects(bucket: Bucket, run: str) -> dict[str, str]:
    """Digest of each object of a run's data set."""
    artifact = Artifact.open(bucket, f"runs/{run}/preprocess")
    return {name: stored.sha256 for name, stored in artifact.manifest.objects.items()}


@pytest.fixture(scope="module")
def whole(phantom: Bucket) -> Bucket:
    """The generated data set, and a run `whole` of one share."""
    run_stage(PREPROCESS, PHANTOM, phantom, run="whole")
    return phantom


@pytest.mark.parametrize("count", [7, 60])
def test_the_number_of_shares_changes_no_byte(whole: Bucket, count: int) -> None:
    """60 shares are more than patients: some have nothing to do."""
    run = f"shares-{count}"
    order = np.random.default_rng(count).permutation(count)
    outcomes = [run_share(PREPROCESS, PHANTOM, whole, run=run, index=int(i), count=count) for i in order]
    assert outcomes == ["part published"] * (count - 1) + ["published"]
    assert objects(whole, run) == objects(whole, "whole")
    assert not list(whole.list(f"runs/{run}/preprocess/parts"))


def test_a_patient_lies_in_one_share() -> None:
    assert {share_of(f"patient{n}", 7) for n in range(200)} == set(range(7))
    assert share_of("patient1", 7) == share_of("patient1", 7)


def test_the_data_set_is_what_the_tables_say(bucket: Bucket, tmp_path: Path) -> None:
    put(bucket, "raw/m", mura_tree(48))
    artifact = run_stage(PREPROCESS, TREE, bucket)
    data = Packed.load(artifact, tmp_path / "local")
    assert len(data) == 96
    assert data.index["key"].is_monotonic_increasing
    assert data.images().shape == (96, 16, 16)
    assert set(data.index["split"]) == {"train", "select", "test"}
    assert (data.index.groupby("patient")["split"].nunique() == 1).all()
    assert (data.index["key"].str.contains("_positive/") == (data.index["label"] == "positive")).all()
    counts = artifact.manifest.summary["counts"]["XR_SHOULDER"]
    assert sum(n for labels in counts.values() for n in labels.values()) == 96
    assert artifact.read("preview.png").startswith(b"\x89PNG")


def test_a_zip_gives_the_same_as_its_tree(bucket: Bucket) -> None:
    tree = mura_tree(48)
    put(bucket, "raw/m", tree)
    bucket.write("raw/m.zip", zipped(tree))
    run_stage(PREPROCESS, TREE, bucket, run="tree")
    run_stage(PREPROCESS, TREE.model_copy(update={"source": "raw/m.zip"}), bucket, run="zip")
    assert objects(bucket, "tree") == objects(bucket, "zip")


def test_any_data_set_can_be_given_as_a_table(bucket: Bucket, tmp_path: Path) -> None:
    rows = [(f"{n}.png", n % 2, f"p{n}", "s", "test" if n % 4 > 1 else "train") for n in range(40)]
    table = pd.DataFrame(rows, columns=["path", "label", "patient", "study", "split"])
    put(
        bucket, "raw/own", {row[0]: png(n) for n, row in enumerate(rows)} | {"t.csv": table.to_csv().encode()}
    )
    artifact = run_stage(PREPROCESS, TREE.model_copy(update={"source": "raw/own/t.csv"}), bucket)
    index = Packed.load(artifact, tmp_path / "local").index.set_index("key")
    for path, label, patient, *_ in rows:
        assert (index.loc[path, "label"] == "positive") == bool(label)
        assert index.loc[path, "patient"] == patient


def test_every_row_is_its_own_picture(bucket: Bucket, tmp_path: Path) -> None:
    """Pictures and rows stay together through shares, sorting and shards."""
    tree = mura_tree(48)
    for number, path in enumerate(path for path in tree if path.endswith(".png")):
        tree[path] = _even(40 + 2 * number)
    put(bucket, "raw/m", tree)
    plain = CleaningConfig(invert=False, crop=False, window=False, square="stretch")
    config = TREE.model_copy(update={"cleaning": plain, "shard_images": 10})
    run_share(PREPROCESS, config, bucket, index=0, count=2)
    run_share(PREPROCESS, config, bucket, index=1, count=2)
    data = Packed.load(Artifact.open(bucket, "runs/r/preprocess"), tmp_path / "local")
    paths = [path for path in tree if path.endswith(".png")]
    for key, picture in zip(data.index["key"], data.images(), strict=True):
        assert (picture == 40 + 2 * paths.index(key)).all()


def test_an_unreadable_picture_stops_the_stage_and_is_named(bucket: Bucket) -> None:
    tree = mura_tree(48)
    victim = next(path for path in tree if path.endswith("image2.png"))
    put(bucket, "raw/m", tree | {victim: tree[victim][:60]})
    with pytest.raises(InputError, match=f"{victim} can't be read: damaged"):
        run_stage(PREPROCESS, TREE, bucket)
    assert not bucket.exists("runs/r/preprocess/manifest.json")


def test_a_tolerated_unreadable_picture_is_named_and_left_out(bucket: Bucket, tmp_path: Path) -> None:
    tree = mura_tree(48)
    victim = next(path for path in tree if path.endswith("image2.png"))
    put(bucket, "raw/m", tree | {victim: b""})
    artifact = run_stage(PREPROCESS, TREE.model_copy(update={"unreadable_share": 0.02}), bucket)
    assert artifact.manifest.summary["unreadable"] == {victim: "the file is empty"}
    keys = set(Packed.load(artifact, tmp_path / "local").index["key"])
    assert keys == {path for path in tree if path.endswith(".png")} - {victim}


def test_more_unreadable_pictures_than_tolerated_stop_the_stage(bucket: Bucket) -> None:
    tree = mura_tree(48)
    victims = [path for path in tree if path.endswith("image2.png")][:3]
    put(bucket, "raw/m", tree | dict.fromkeys(victims, b""))
    with pytest.raises(InputError, match=r"3 of 96 images are unreadable, and unreadable_share allows 0\.02"):
        run_stage(PREPROCESS, TREE.model_copy(update={"unreadable_share": 0.02}), bucket)


def test_a_count_that_is_not_muras_own_warns(bucket: Bucket) -> None:
    put(bucket, "raw/m", mura_tree(48))
    warnings = run_stage(PREPROCESS, TREE, bucket).manifest.summary["warnings"]
    assert any("XR_SHOULDER/train/positive" in warning and "4,168" in warning for warning in warnings)
    events = bucket.read("runs/r/events/preprocess-0.jsonl").decode()
    assert '"event": "warning"' in events


def test_the_phantoms_cleaning_agrees_with_its_truth(whole: Bucket, tmp_path: Path) -> None:
    """From files to index: of the pictures' flaws, nearly all are found and hardly one is made up."""
    index = Packed.load(Artifact.open(whole, "runs/whole/preprocess"), tmp_path).index.set_index("key")
    table = BytesIO(whole.read("raw/phantom/MURA-PHANTOM/phantom_truth.csv"))
    truth: Any = pd.read_csv(table).set_index("path")
    assert sorted(truth.index) == sorted(index.index)
    truth = truth.loc[index.index]
    assert (index["inverted"] == truth["inverted"].astype(bool)).mean() > 0.95
    assert ((index["rotation"] != 0) & (truth["rotation"] == 0)).mean() < 0.05


def _even(grey: int) -> bytes:
    file = BytesIO()
    Image.fromarray(np.full((30, 40), grey, np.uint8)).save(file, "PNG")
    return file.getvalue()
