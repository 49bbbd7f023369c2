import io
import json
from pathlib import Path
from typing import Any
import zipfile

import numpy as np
import pandas as pd
from PIL import Image
import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import ConfigError, InputError, Stopped
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.stage import JobOptions
from mura_jobs.radiographs.config import PreprocessConfig
from mura_jobs.radiographs.packed import Packed
from mura_jobs.radiographs.preprocess import run as preprocess
from mura_jobs.synthetic.export.config import ExportConfig
from mura_jobs.synthetic.export.export import export
from tests.synthetic.toy import Images, fakes, job_for, publish, radiographs

LABELS = ("positive", "negative")


def gated(label: str, images: int) -> tuple[pd.DataFrame, Images]:
    """Synthetic images with what gates leave in an index; none is a copy."""
    index, pixels = fakes(label, images)
    index = index.assign(
        seed=3,
        psi=0.7,
        generator="abcd",
        train_distance=np.linspace(0.5, 1, images, dtype=np.float32),
        nearest_train="patient00000/study1/image0.png",
        memorised=False,
    )
    return index, pixels


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    (tmp_path / "bucket").mkdir()
    bucket = open_bucket((tmp_path / "bucket").as_uri())
    publish(bucket, "preprocess", *radiographs(60))
    for number, label in enumerate(LABELS):
        publish(bucket, f"synthesize/{label}", *gated(label, 5 + number))
    return bucket


def run(bucket: Bucket, *, replace: bool = False, shutdown: Shutdown | None = None, **values: Any) -> Path:  # noqa: ANN401 - any of the configuration's
    options = JobOptions(bucket=bucket.url, run_id="r", replace=replace)
    where = export(ExportConfig.parse(values), options, shutdown or Shutdown())
    return Path(where.removeprefix("file://"))


def text_of(path: Path) -> dict[str, Any]:
    with Image.open(path) as shown:
        return {str(keyword): value for keyword, value in shown.info.items()}


def files_of(folder: Path) -> dict[str, bytes]:
    every = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in every}


def test_folders_hold_each_image_under_label_and_body_part(bucket: Bucket) -> None:
    folder = run(bucket)
    for label in LABELS:
        index, images = gated(label, 5 + LABELS.index(label))
        assert len(list((folder / label / "SHOULDER").iterdir())) == len(index)
        for row, image in zip(index.to_dict("records"), images, strict=True):
            shown = Image.open(folder / label / "SHOULDER" / f"{row['patient']}.png")
            np.testing.assert_array_equal(np.asarray(shown), image)


def test_every_png_says_that_it_is_synthetic_and_where_it_comes_from(bucket: Bucket) -> None:
    digest = Artifact.open(bucket, "runs/r/synthesize/negative").manifest.digest
    text = text_of(run(bucket) / "negative/SHOULDER/synthetic-negative-00005.png")
    assert text["Description"] == "synthetic radiograph, not of a patient"
    expected = {"seed": "3", "psi": "0.7", "generator": "abcd", "train_distance": "1", "memorised": "False"}
    expected |= {"label": "negative", "source": "synthesize/negative", "source digest": digest}
    assert expected.items() <= text.items()


def test_real_radiographs_never_call_themselves_synthetic(bucket: Bucket) -> None:
    folder = run(bucket, sources=["preprocess"], split="all")
    said = [text_of(path)["Description"] for path in folder.rglob("*.png")]
    assert len(said) == 120
    assert set(said) == {"radiograph of a patient, cleaned and resized"}


def test_the_archive_is_as_the_published_trainer_reads_it(bucket: Bucket) -> None:
    """dataset.json pairs each file with its class; files lie in numbered folders, stored, not deflated."""
    path = run(bucket, form="zip", name="fakes") / "fakes.zip"
    with zipfile.ZipFile(path) as archive:
        labels = json.loads(archive.read("dataset.json"))["labels"]
        assert [name for name, _ in labels] == [f"00000/img{n:08d}.png" for n in range(11)]
        assert [kind for _, kind in labels] == [0] * 6 + [1] * 5
        pixels = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name, _ in labels]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    np.testing.assert_array_equal(pixels, np.concatenate([gated("negative", 6)[1], gated("positive", 5)[1]]))


@pytest.mark.parametrize("form", ["folders", "zip"])
def test_the_same_export_has_the_same_bytes(bucket: Bucket, tmp_path: Path, form: str) -> None:
    (tmp_path / "out").mkdir()
    first, second = run(bucket, form=form), run(bucket, form=form, to=(tmp_path / "out").as_uri())
    assert second == tmp_path / "out" / "export"
    assert files_of(first) == files_of(second)


def test_an_export_can_be_preprocessed_again_to_the_same_data_set(bucket: Bucket, tmp_path: Path) -> None:
    """With cleaning off, folders of real and synthetic images are a data set like the ones they came from."""
    folder = run(bucket, sources=["preprocess", "synthesize/positive", "synthesize/negative"], split="all")
    cleaning = {"invert": False, "crop": False, "straighten": False, "window": False, "markers": "ignore"}
    config = PreprocessConfig.parse(
        {"source": "labels.csv", "body_parts": ["all"], "resolution": 16, "cleaning": cleaning}
    )
    other = open_bucket(folder.as_uri())
    preprocess(config, job_for(other, "preprocess", config, []))
    again = Packed.load(Artifact.open(other, "runs/r/preprocess"), tmp_path / "again")
    sources = [radiographs(60), gated("negative", 6), gated("positive", 5)]
    assert len(again) == sum(len(index) for index, _ in sources)
    found = {
        image.tobytes(): row
        for image, row in zip(again.images(), again.index.to_dict("records"), strict=True)
    }
    for index, images in sources:
        for image, row in zip(images, index.to_dict("records"), strict=True):
            same = found[image.tobytes()]
            kept = ("patient", "label", "split", "body_part")
            assert [same[column] for column in kept] == [row[column] for column in kept]


@pytest.mark.parametrize("known", [True, False])
def test_copies_of_training_images_leave_only_when_that_is_asked_for(bucket: Bucket, *, known: bool) -> None:
    """Nor do images that nobody has compared with any."""
    index, images = gated("positive", 5)
    index.loc[2, "memorised"] = True
    bucket.delete([entry.key for entry in list(bucket.list("runs/r/synthesize/positive/"))])
    publish(bucket, "synthesize/positive", index if known else index.drop(columns="memorised"), images)
    reason = r"1 of 5 images are copies .*00002.png \(of patient00000" if known else "have not been compared"
    with pytest.raises(InputError, match=reason):
        run(bucket)
    assert not list(bucket.list("runs/r/export/"))
    assert len(list(run(bucket, allow_memorised=True).rglob("*.png"))) == 11


def test_an_export_is_found_refused_or_replaced_like_any_output(bucket: Bucket) -> None:
    folder = run(bucket)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    run(bucket)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    with pytest.raises(ConfigError, match="form"):
        run(bucket, form="zip")
    run(bucket, form="zip", replace=True)
    assert list(files_of(folder)) == ["export.zip"]


def test_an_export_that_was_stopped_does_not_exist(bucket: Bucket) -> None:
    shutdown = Shutdown()
    shutdown.requested = True
    with pytest.raises(Stopped):
        run(bucket, shutdown=shutdown)
    assert not bucket.exists("runs/r/export/export/manifest.json")


def test_nothing_to_export_is_an_error(bucket: Bucket) -> None:
    with pytest.raises(InputError, match="hold no image of the split test"):
        run(bucket, split="test")
