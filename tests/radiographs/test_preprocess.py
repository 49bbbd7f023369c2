from io import BytesIO
from pathlib import Path
from typing import Any
import zipfile

import numpy as np
import pandas as pd
from PIL import Image
import pytest

from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.job.artifact import Artifact
from mura_jobs.radiographs.config import CleaningConfig, PreprocessConfig
from mura_jobs.radiographs.packed import Packed
from mura_jobs.radiographs.preprocess import share_of
from mura_jobs.stages import PREPROCESS
from tests.radiographs.drawing import run_share, run_stage
from tests.radiographs.films import film, written
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


def test_tolerated_bad_files_are_all_named_and_left_out(bucket: Bucket, tmp_path: Path) -> None:
    """Truncated, empty, no picture, a bomb; the same from any number of shares."""
    tree = mura_tree(48)
    victims = [path for path in tree if path.startswith("MURA-v1.1/train") and path.endswith("2.png")][:4]
    whole = tree[victims[0]]
    header = whole[:16] + (60_000).to_bytes(4, "big") * 2 + whole[24:]
    bad = dict(zip(victims, (whole[:60], b"", b"%PDF-1.7 no picture", header), strict=True))
    put(bucket, "raw/m", tree | bad)
    config = TREE.model_copy(update={"unreadable_share": 0.2})
    artifact = run_stage(PREPROCESS, config, bucket)
    table = pd.read_csv(BytesIO(artifact.read("unreadable.csv"))).set_index("key")
    assert sorted(table.index) == sorted(victims)
    problems = [str(table.loc[victim, "problem"]) for victim in victims]
    for problem, expected in zip(
        problems, ("damaged", "empty", "no PNG, JPEG or DICOM", "damaged"), strict=True
    ):
        assert expected in problem
    assert list(table.loc[victims, "bytes"]) == [len(data) for data in bad.values()]
    assert set(artifact.manifest.summary["unreadable"]) == set(victims)
    keys = set(Packed.load(artifact, tmp_path / "local").index["key"])
    assert keys == {path for path in tree if path.endswith(".png")} - set(victims)
    events = bucket.read("runs/r/events/preprocess-0.jsonl").decode()
    assert events.count('"event": "unreadable"') == 4
    for index in range(3):
        run_share(PREPROCESS, config, bucket, run="shares", index=index, count=3)
    assert objects(bucket, "shares") == objects(bucket, "r")


def test_the_tolerated_share_is_of_each_split(bucket: Bucket) -> None:
    """One of 24 test images is more than 3 %, though it is but 1 % of all; so it is with several shares."""
    tree = mura_tree(48)
    victim = next(path for path in tree if path.startswith("MURA-v1.1/valid") and path.endswith("2.png"))
    put(bucket, "raw/m", tree | {victim: b""})
    config = TREE.model_copy(update={"unreadable_share": 0.03})
    with pytest.raises(InputError, match=r"1 of 24 images in test are unreadable, and .* allows 0\.03"):
        run_stage(PREPROCESS, config, bucket)


def test_a_damaged_member_of_a_zip_counts_as_unreadable(bucket: Bucket) -> None:
    tree = mura_tree(48)
    data = bytearray(zipped(tree, zipfile.ZIP_STORED))
    victim = next(path for path in tree if path.endswith("image2.png"))
    data[data.index(victim.encode()) + len(victim) + 90] ^= 1
    bucket.write("raw/m.zip", bytes(data))
    config = TREE.model_copy(update={"source": "raw/m.zip", "unreadable_share": 0.1})
    unreadable = run_stage(PREPROCESS, config, bucket).manifest.summary["unreadable"]
    assert set(unreadable) == {victim}
    assert "damaged in the zip" in unreadable[victim]


def as_dicom(data: bytes, photometric: str) -> bytes:
    with Image.open(BytesIO(data)) as image:
        grey = np.asarray(image.convert("L"), np.uint16)
    stored = grey * 16 if photometric == "MONOCHROME2" else 4095 - grey * 16
    window: dict[str, Any] = {"WindowCenter": 2040, "WindowWidth": 4080, "VOILUTFunction": "LINEAR_EXACT"}
    if photometric == "MONOCHROME1":
        window["WindowCenter"] = 4095 - 2040
    return written(film(stored, PhotometricInterpretation=photometric, **window))


@pytest.mark.parametrize("source", ["raw/m", "raw/m.zip", "raw/m/t.csv"])
def test_dicom_gives_the_same_as_png_wherever_it_lies(bucket: Bucket, tmp_path: Path, source: str) -> None:
    """Stored low or high values white, in a tree, a zip or a CSV's folder; the header's word is recorded."""
    pngs, films = mura_tree(24), {}
    for number, (path, data) in enumerate(pngs.items()):
        kind = "MONOCHROME1" if number % 2 else "MONOCHROME2"
        name = path.replace(".png", ".dcm")
        films[name] = as_dicom(data, kind) if path.endswith(".png") else data.replace(b".png", b".dcm")
    rows = ["path,label,patient,study,split"] + [
        f"{path},{path.split('_')[-1].split('/')[0]},{path.split('/')[3]},s,{path.split('/')[1]}"
        for path in films
        if path.endswith(".dcm")
    ]
    put(bucket, "raw/png", pngs)
    put(bucket, "raw/m", films | ({"t.csv": "\n".join(rows).encode()} if source.endswith("csv") else {}))
    bucket.write("raw/m.zip", zipped(films))
    plain = CleaningConfig(invert=False, crop=False)
    config = TREE.model_copy(update={"cleaning": plain, "source": source})
    expected = run_stage(PREPROCESS, config.model_copy(update={"source": "raw/png"}), bucket, run="png")
    found = Packed.load(run_stage(PREPROCESS, config, bucket), tmp_path / "dicom")
    wanted = Packed.load(expected, tmp_path / "png")
    difference = found.images().astype(int) - wanted.images().astype(int)
    assert np.abs(difference).max() <= 1
    assert set(wanted.index["photometric"]) == {"unstated"}
    assert (found.index["inverted"] == (found.index["photometric"] == "MONOCHROME1")).all()
    assert 0.3 < found.index["inverted"].mean() < 0.7
    assert (found.index["inverted_confidence"] == 1).all()


def test_raw_data_that_changed_is_noticed(bucket: Bucket) -> None:
    """A byte of a picture, not of a file beside the data set; what is gone can't be compared."""
    tree = mura_tree(48)
    put(bucket, "raw/m", tree)
    run_share(PREPROCESS, TREE, bucket)
    bucket.write("raw/m/notes.txt", b"new")
    assert run_share(PREPROCESS, TREE, bucket) == "already published"
    victim = next(path for path in tree if path.endswith("image2.png"))
    changed = tree[victim][:-1] + bytes([tree[victim][-1] ^ 1])
    bucket.write(f"raw/m/{victim}", changed)
    with pytest.raises(ConfigError, match="raw/m: raw data changed since"):
        run_share(PREPROCESS, TREE, bucket)
    bucket.delete([entry.key for entry in bucket.list("raw/m/")])
    assert run_share(PREPROCESS, TREE, bucket) == "already published"


def test_shares_of_different_raw_data_are_not_merged(bucket: Bucket) -> None:
    tree = mura_tree(48)
    put(bucket, "raw/m", tree)
    run_share(PREPROCESS, TREE, bucket, index=0, count=2)
    victim = next(path for path in tree if path.endswith("image2.png"))
    bucket.write(f"raw/m/{victim}", png(99))
    with pytest.raises(ConfigError, match="raw data changed since"):
        run_share(PREPROCESS, TREE, bucket, index=1, count=2)


def test_duplicates_are_listed_and_dropped_from_training_alone(
    phantom: Bucket, bucket: Bucket, tmp_path: Path
) -> None:
    """A test image is copied, mirrored, to a training patient, and a training image to another one."""
    files = {
        key.removeprefix("raw/phantom/"): data
        for key, data in phantom.read_all(
            [entry.key for entry in phantom.list("raw/phantom/") if "/truth" not in entry.key]
        )
    }
    trained = sorted(path for path in files if "/train/" in path and path.endswith(".png"))
    tested = sorted(path for path in files if "/valid/" in path and path.endswith(".png"))
    files[trained[0]] = mirrored(files[tested[0]])
    files[trained[-1]] = files[trained[20]]
    put(bucket, "raw/phantom", files)
    config = PHANTOM.model_copy(update={"duplicates": "drop"})
    artifact = run_stage(PREPROCESS, config, bucket)
    pairs = pd.read_csv(BytesIO(artifact.read("duplicates.csv")))
    planted = {(trained[0], tested[0]), (trained[20], trained[-1])}
    listed = set(zip(pairs["key"], pairs["other_key"], strict=True))
    assert planted <= listed
    assert len(listed) <= 4
    keys = set(Packed.load(artifact, tmp_path / "local").index["key"])
    assert tested[0] in keys
    assert trained[0] not in keys
    assert len({trained[20], trained[-1]} & keys) == 1
    assert artifact.manifest.summary["duplicates"]["with_test"] >= 1
    for index in range(5):
        run_share(PREPROCESS, config, bucket, run="shares", index=index, count=5)
    assert objects(bucket, "shares") == objects(bucket, "r")


def mirrored(data: bytes) -> bytes:
    with Image.open(BytesIO(data)) as image:
        file = BytesIO()
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file, "PNG")
    return file.getvalue()


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
