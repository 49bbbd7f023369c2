from hashlib import sha256
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket, ObjectMissing
from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact
from mura_jobs.radiographs.packed import Packed
from mura_jobs.synthetic.config import ImportGridConfig
from mura_jobs.synthetic.import_grid import cut, run
from tests.synthetic.toy import Images, fakes, job_for, publish, radiographs

OFF = {"memorisation": False, "duplicates": False, "features": {"space": "none"}}
COLUMNS, ROWS = 5, 3


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    bucket = open_bucket(tmp_path.as_uri())
    publish(bucket, "preprocess", *radiographs(60))
    return bucket


def grid(images: Images, columns: int = COLUMNS, rows: int = ROWS) -> bytes:
    """What trainers save: a colour picture of tiles in reading order."""
    side = images.shape[1]
    tiles = images.reshape(rows, columns, side, side).swapaxes(1, 2).reshape(rows * side, columns * side)
    file = io.BytesIO()
    Image.fromarray(tiles).convert("RGB").save(file, "PNG")
    return file.getvalue()


def imported(bucket: Bucket, data: bytes, **values: Any) -> Artifact:  # noqa: ANN401 - any of the configuration's
    bucket.write("raw/fakes.png", data)
    shape = {"label": "positive", "source": "raw/fakes.png", "columns": COLUMNS, "rows": ROWS}
    config = ImportGridConfig.parse(shape | {"gates": OFF} | values)
    run(config, job_for(bucket, "synthesize/positive", config, ["preprocess"]))
    return Artifact.open(bucket, "runs/r/synthesize/positive")


def test_tiles_become_a_synthetic_data_set_that_says_where_each_comes_from(
    bucket: Bucket, tmp_path: Path
) -> None:
    images = fakes("positive", COLUMNS * ROWS)[1]
    data = grid(images)
    packed = Packed.load(imported(bucket, data), tmp_path / "packed")
    np.testing.assert_array_equal(packed.images(), images)
    index = packed.index
    assert set(index["source_sha256"]) == {sha256(data).hexdigest()}
    assert list(zip(index["tile_row"], index["tile_column"], strict=True)) == [
        (row, column) for row in range(ROWS) for column in range(COLUMNS)
    ]
    assert set(index["split"]) == {"train"}
    assert set(index["label"]) == {"positive"}
    assert index["patient"].str.startswith("synthetic-").all()


def test_larger_tiles_are_reduced_and_only_as_many_taken_as_hold_images(
    bucket: Bucket, tmp_path: Path
) -> None:
    images = fakes("positive", COLUMNS * ROWS)[1]
    images[-2:] = 0
    data = grid(images.repeat(2, axis=1).repeat(2, axis=2))
    with pytest.raises(InputError, match=r"2 tiles are empty, the first in row 2, column 3 .* --images 13"):
        imported(bucket, data)
    packed = Packed.load(imported(bucket, data, images=13), tmp_path / "packed")
    np.testing.assert_array_equal(packed.images(), images[:13])
    assert set(packed.index["tile_side"]) == {32}


def test_copies_of_training_images_are_thrown_out_and_counted(bucket: Bucket, tmp_path: Path) -> None:
    index, real = radiographs(60)
    copies = real[((index["label"] == "positive") & (index["split"] == "train")).to_numpy()][:2]
    images = fakes("positive", COLUMNS * ROWS)[1]
    images[[3, 7]] = copies[0], copies[1][:, ::-1]
    before = Packed.load(imported(bucket, grid(images)), tmp_path / "off").index
    copied = before["number"].isin([3, 7])
    assert (before.loc[copied, "train_distance"] == 0).all()
    bucket.delete([entry.key for entry in list(bucket.list("runs/r/synthesize/"))])
    artifact = imported(bucket, grid(images), gates=OFF | {"memorisation": True, "quantile": 0.0})
    index = Packed.load(artifact, tmp_path / "on").index
    near = before["train_distance"] <= artifact.manifest.summary["threshold"]
    assert list(index["number"]) == list(before.loc[~near, "number"])
    assert not index["number"].isin([3, 7]).any()
    assert artifact.manifest.summary["rejected"]["memorisation"] == near.sum()


@pytest.mark.parametrize(
    ("columns", "rows", "reason"),
    [
        (COLUMNS + 1, ROWS, r"80 × 48 pixels are not 6 × 3 square tiles: each would have 13\.3"),
        (COLUMNS, 2 * ROWS, r"each would have 16 × 8 pixels"),
        (4 * COLUMNS, 4 * ROWS, r"tiles of 4² pixels, but the data set has 16²"),
    ],
)
def test_a_grid_of_another_shape_is_refused_with_its_size(
    bucket: Bucket, columns: int, rows: int, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        imported(bucket, grid(fakes("positive", 15)[1]), columns=columns, rows=rows)


def test_what_is_no_picture_or_not_there_is_refused(bucket: Bucket) -> None:
    with pytest.raises(InputError, match=r"raw/fakes\.png: no PNG, JPEG or DICOM"):
        imported(bucket, b"no picture")
    with pytest.raises(ObjectMissing, match="elsewhere"):
        imported(bucket, b"", source="raw/elsewhere.png")
    with pytest.raises(InputError, match=r"/nowhere\.png can't be read"):
        imported(bucket, b"", source="/nowhere.png")


def test_the_old_grid_is_480_tiles_of_256_pixels() -> None:
    """30 × 16 of 7680 × 4096, as the published trainer makes them."""
    grey = np.arange(4096 * 7680, dtype=np.float32).reshape(4096, 7680)
    tiles: list[NDArray[np.float32]] = cut("fakes.png", grey, 16, 30, None)
    assert len(tiles) == 480
    np.testing.assert_array_equal(tiles[31], grey[256:512, 256:512])
