import csv
from io import BytesIO, StringIO

from PIL import Image
import pytest

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Artifact
from mura_jobs.radiographs.config import PhantomConfig
from mura_jobs.radiographs.dataset import count
from mura_jobs.radiographs.files import Folder
from mura_jobs.radiographs.mura import read_mura
from mura_jobs.radiographs.phantom.phantom import plan_patient
from mura_jobs.stages import PHANTOM
from tests.radiographs.drawing import run_stage

TREE = "raw/phantom/MURA-PHANTOM"


def test_the_tree_is_a_mura_tree(phantom: Bucket) -> None:
    """The reader of MURA, which checks tables against files, takes it; its counts are those published."""
    data = read_mura(Folder(phantom, "raw/phantom"), ("all",))
    assert data.name == "MURA-PHANTOM"
    counts = count(r.kind for r in data.radiographs)["XR_SHOULDER"]
    published = Artifact.open(phantom, "raw/phantom").manifest.summary["counts"]
    for split, folder in (("train", "train"), ("test", "valid")):
        assert sum(counts[split].values()) == published[folder]["images"]
        assert counts[split]["positive"] == published[folder]["positive"]


def test_every_picture_has_its_truth(phantom: Bucket) -> None:
    rows = list(csv.DictReader(StringIO(phantom.read(f"{TREE}/phantom_truth.csv").decode())))
    pictures = {e.key.removeprefix("raw/phantom/") for e in phantom.list(TREE) if e.key.endswith(".png")}
    assert {row["path"] for row in rows} == pictures
    for row in rows:
        assert (row["finding"] != "") == (row["label"] == "positive") == ("_positive/" in row["path"])


def test_sizes_and_modes_vary_as_in_mura(phantom: Bucket) -> None:
    """The longer side is the configured one, the shorter at least 89/512 of it; grey and RGB are mixed."""
    modes = set()
    for entry in phantom.list(TREE):
        if entry.key.endswith(".png"):
            picture = Image.open(BytesIO(phantom.read(entry.key)))
            modes.add(picture.mode)
            assert max(picture.size) == 64
            assert min(picture.size) >= 11
    assert modes == {"L", "RGB"}


def test_more_patients_leave_the_others_as_they_are(bucket: Bucket, phantom: Bucket) -> None:
    config = PhantomConfig(train_patients=2, valid_patients=1, long_side=64, seed=3)
    run_stage(PHANTOM, config, bucket)
    for entry in bucket.list(TREE):
        if entry.key.endswith(".png"):
            assert bucket.read(entry.key) == phantom.read(entry.key)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_the_label_says_nothing_about_the_number_of_images(strength: float) -> None:
    config = PhantomConfig(strength=strength)
    plans = [plan for patient in range(1, 1500) for plan in plan_patient(config, patient)]
    means = {
        label: [len(plan.views) for plan in plans if plan.label == label]
        for label in ("positive", "negative")
    }
    positive, negative = (sum(sizes) / len(sizes) for sizes in means.values())
    assert positive == pytest.approx(negative, abs=0.15)
    assert len(means["positive"]) / len(plans) == pytest.approx(0.5, abs=0.04)
