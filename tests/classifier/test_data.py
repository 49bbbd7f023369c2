from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.classifier.arms import Arm
from mura_jobs.classifier.data import Composition, Rows, TrainingSet, compose, load
from mura_jobs.errors import InputError
from mura_jobs.job.config import Label
from mura_jobs.radiographs.packed import Packed
from tests.synthetic.toy import fakes, publish, radiographs

LABELS: tuple[Label, Label] = ("positive", "negative")


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    index, _ = radiographs(100)
    return index[index["split"] == "train"].reset_index(drop=True)


def composed(name: str, real: pd.DataFrame, seed: int = 0, made: int = 200) -> Composition:
    synthetic = {label: fakes(label, made)[0] for label in LABELS} if Arm.parse(name).has_synthetic else {}
    return compose(Arm.parse(name), seed, real, synthetic)


def per_label(index: pd.DataFrame, rows: Rows) -> Counter[str]:
    return Counter(index["label"].to_numpy()[rows])


def test_copies_are_as_many_of_each_label_as_synthetic_images(real: pd.DataFrame) -> None:
    """The control has the treatment's size and balance, so that only what is in the images differs."""
    for amount in ("", "-x0.5", "-x2.5", "-n60"):
        copies = per_label(real, composed(f"real-duplicated{amount}", real).copies)
        synthetic = composed(f"real+synthetic{amount}", real).synthetic
        assert {label: len(rows) for label, rows in synthetic.items()} == copies


def test_copies_are_spread_evenly(real: pd.DataFrame) -> None:
    """No image is copied twice more often than another."""
    for amount in ("-x0.5", "-x1", "-x2.5"):
        times = Counter(composed(f"real-duplicated{amount}", real).copies.tolist())
        often = [times[row] for row in range(len(real))]
        assert max(often) - min(often) <= 1


def test_each_synthetic_image_is_used_once(real: pd.DataFrame) -> None:
    for rows in composed("real+synthetic-x0.5", real).synthetic.values():
        assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("seed", [0, 1])
def test_smaller_arms_lie_within_larger_ones(real: pd.DataFrame, seed: int) -> None:
    """Along a learning curve, data is added and none is exchanged."""
    few, many = (set(composed(f"real-f{share}", real, seed).real) for share in (0.2, 0.6))
    assert few < many
    half, whole = (composed(f"real+synthetic-x{ratio}", real, seed).synthetic for ratio in (0.5, 1))
    assert all(set(half[label]) < set(whole[label]) for label in LABELS)


def test_a_share_is_of_patients(real: pd.DataFrame) -> None:
    """All of a patient's images are taken, or none."""
    rows = composed("real-f0.3", real).real
    taken = set(real["patient"].iloc[rows])
    assert len(taken) == round(0.3 * real["patient"].nunique())
    assert real["patient"].isin(taken).sum() == len(rows)


def test_another_seed_takes_other_patients(real: pd.DataFrame) -> None:
    first, second = (composed("real-f0.3", real, seed).real for seed in (0, 1))
    assert set(first) != set(second)


def test_synthetic_only_has_no_real_image_and_the_balance_of_the_real_ones(real: pd.DataFrame) -> None:
    arm = composed("synthetic-only", real)
    assert len(arm.real) == len(arm.copies) == 0
    assert {label: len(rows) for label, rows in arm.synthetic.items()} == Counter(real["label"])


def test_too_few_synthetic_images_are_refused(real: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"takes \d+ synthetic positive images, but .* holds 10; raise"):
        composed("real+synthetic", real, made=10)


def test_a_share_without_one_of_the_labels_is_refused(real: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"has no (positive|negative) image"):
        composed("real-f0.0001", real)


@pytest.fixture
def loaded(tmp_path: Path) -> TrainingSet:
    bucket = open_bucket(tmp_path.as_uri())
    real = Packed.load(publish(bucket, "preprocess", *radiographs(40)), tmp_path / "a").where(split="train")
    synthetic = {
        label: Packed.load(publish(bucket, f"synthesize/{label}", *fakes(label, 60)), tmp_path / label)
        for label in LABELS
    }
    indexes = {label: packed.index for label, packed in synthetic.items()}
    duplicated = compose(Arm.parse("real-duplicated"), 0, real.index, {})
    again = load(duplicated, real, {}, "cpu")
    assert again.counts["copies"] == again.counts["real"] == len(again.images) == len(again.rows) / 2
    return load(compose(Arm.parse("real+synthetic"), 0, real.index, indexes), real, synthetic, "cpu")


def test_every_pass_shows_every_image_once(loaded: TrainingSet) -> None:
    """Whatever the batch, and also where a batch reaches over the end of a pass."""
    size = len(loaded.rows)
    for batch in (7, 16, 2 * size + 3):
        steps = -(-3 * size // batch)
        shown = np.concatenate([loaded.batch(0, step, batch) for step in range(steps)])[: 3 * size]
        passes = shown.reshape(3, size)
        assert (np.sort(passes, axis=1) == np.sort(loaded.rows)).all()
        assert (passes[0] != passes[1]).any()


def test_labels_follow_their_images(loaded: TrainingSet) -> None:
    assert loaded.counts["real"] == loaded.counts["synthetic"] == 48
    assert loaded.positive[loaded.rows].sum() == loaded.counts["positive"]


def test_synthetic_images_of_another_size_or_label_are_refused(tmp_path: Path) -> None:
    bucket = open_bucket(tmp_path.as_uri())
    real = Packed.load(publish(bucket, "preprocess", *radiographs(40)), tmp_path / "a").where(split="train")
    for wrong, message in (
        (fakes("positive", 60, 8), "8² pixels"),
        (fakes("positive", 60), "expected negative"),
    ):
        made = {
            "positive": Packed.load(
                publish(bucket, f"p/{message}", *fakes("positive", 60)), tmp_path / f"b{message}"
            ),
            "negative": Packed.load(publish(bucket, f"n/{message}", *wrong), tmp_path / message),
        }
        synthetic: dict[Label, Packed] = {label: made[label] for label in LABELS}
        indexes = {label: packed.index for label, packed in synthetic.items()}
        with pytest.raises(InputError, match=message):
            load(compose(Arm.parse("synthetic-only"), 0, real.index, indexes), real, synthetic, "cpu")
