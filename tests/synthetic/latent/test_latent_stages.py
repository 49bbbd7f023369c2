from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
import pytest
import safetensors
import torch

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.job import Job
from mura_jobs.synthetic.latent import projection
from mura_jobs.synthetic.latent.config import (
    InterpolateConfig,
    LatentConfig,
    ProjectConfig,
    StyleMixConfig,
    TruncationConfig,
)
from mura_jobs.synthetic.latent.pictures import moving_picture
from mura_jobs.synthetic.latent.styles import (
    images_of,
    interpolate,
    mix,
    style_mix,
    styles,
    truncation,
    walk,
)
from mura_jobs.synthetic.sample import sample
from tests.synthetic.generators import generator, publish_generator
from tests.synthetic.toy import Images, job_for, publish, radiographs

GAP = 2


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    bucket = open_bucket(tmp_path.as_uri())
    publish(bucket, "preprocess", *radiographs(60))
    publish_generator(bucket, generator())
    return bucket


def made(bucket: Bucket, run: Callable[[Any, Job], None], config: LatentConfig) -> Artifact:
    run(config, job_for(bucket, "latent", config, ["preprocess", "train-gan/positive"]))
    return Artifact.open(bucket, "runs/r/latent")


def picture(artifact: Artifact, name: str, folder: Path) -> Images:
    with Image.open(artifact.fetch(name, folder)) as shown:
        assert "not of patients" in shown.info["Description"]
        return np.asarray(shown)


def drawn(number: int, psi: float = 1.0) -> Images:
    """The image that `synthesize` draws under a number, without fresh noise."""
    found = sample(
        generator(), range(number, number + 1), seed=0, label="positive", psi=psi, noise="const", device="cpu"
    )
    return np.asarray(found[0])


def tile_at(sheet: Images, row: int, column: int, side: int = 16) -> Images:
    top, left = row * (side + GAP), column * (side + GAP)
    return sheet[top : top + side, left : left + side]


def near(first: Images, second: Images) -> bool:
    """The same up to rounding: images are computed beside others."""
    return int(np.abs(first.astype(int) - second.astype(int)).max()) <= 1


def test_a_mixture_of_no_and_of_all_layers_is_the_row_s_and_the_column_s_image() -> None:
    network = generator()
    row, column = (styles(network, 0, "positive", numbers, 1.0) for numbers in ((0, 1), (5, 6, 7)))
    layers = network.synthesis.layers
    assert torch.equal(mix(row, column, [])[1, 2], row[1])
    assert torch.equal(mix(row, column, range(layers))[1, 2], column[2])
    some = mix(row, column, [2, 4])
    assert some.shape == (2, 3, layers, 512)
    assert torch.equal(some[1, 2, [2, 4]], column[2, [2, 4]])
    assert torch.equal(some[1, 2, [0, 1, 3, 5]], row[1, [0, 1, 3, 5]])


def test_the_mixing_grid_has_its_sources_at_the_margins(bucket: Bucket, tmp_path: Path) -> None:
    config = StyleMixConfig.parse({"label": "positive", "rows": [0, 1], "columns": [5, 6, 7], "tile": 16})
    sheet = picture(made(bucket, style_mix, config), "mix.png", tmp_path / "local")
    assert sheet.shape == (3 * 18 - 2, 4 * 18 - 2)
    assert near(tile_at(sheet, 2, 0), drawn(1))
    assert near(tile_at(sheet, 0, 3), drawn(7))
    assert not near(tile_at(sheet, 2, 3), drawn(1))
    assert not near(tile_at(sheet, 2, 3), drawn(7))


def test_a_layer_that_the_generator_lacks_is_refused(bucket: Bucket) -> None:
    config = StyleMixConfig.parse({"label": "positive", "layers": [2, 6]})
    with pytest.raises(ConfigError, match=r"layers: 6, but the generator has the layers 0 to 5 at 16²"):
        made(bucket, style_mix, config)


def test_a_walk_goes_through_every_stop_evenly() -> None:
    stops = torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(1))
    way = walk(stops, 4)
    assert len(way) == 9
    torch.testing.assert_close(way[::4], stops)
    torch.testing.assert_close(way[1:5] - way[:4], ((stops[1] - stops[0]) / 4).expand(4, -1, -1))


@pytest.mark.parametrize("form", ["webp", "png", "gif"])
def test_every_frame_is_kept_pixel_for_pixel(form: str, tmp_path: Path) -> None:
    frames = images_of(generator(), walk(styles(generator(), 0, "positive", (0, 1), 1.0), 5))
    file = tmp_path / f"walk.{form}"
    file.write_bytes(moving_picture(frames, form, 10, 16))  # type: ignore[arg-type]  # one of three
    with Image.open(file) as shown:
        assert getattr(shown, "n_frames", 1) == len(frames)
        for number, frame in enumerate(frames):
            shown.seek(number)
            np.testing.assert_array_equal(np.asarray(shown.convert("L")), frame)
            assert shown.info["duration"] == 100


def test_a_loop_comes_back_without_showing_its_start_twice(bucket: Bucket, tmp_path: Path) -> None:
    values = {"label": "positive", "numbers": [0, 3], "steps": 4, "strip_steps": 2, "tile": 16}
    artifact = made(bucket, interpolate, InterpolateConfig.parse(values))
    assert artifact.manifest.summary["frames"] == 8
    sheet = picture(artifact, "strip.png", tmp_path / "local")
    for row, column, number in ((0, 0, 0), (0, 2, 3), (1, 0, 3), (1, 2, 0)):
        assert near(tile_at(sheet, row, column), drawn(number))


def test_the_truncation_sweep_shows_each_psi(bucket: Bucket, tmp_path: Path) -> None:
    values = {"label": "positive", "numbers": [2, 4], "psis": [0.0, 0.5, 1.0], "tile": 16}
    sheet = picture(
        made(bucket, truncation, TruncationConfig.parse(values)), "truncation.png", tmp_path / "l"
    )
    for row, number in enumerate((2, 4)):
        for column, psi in enumerate((0.0, 0.5, 1.0)):
            assert near(tile_at(sheet, row, column), drawn(number, psi))


def test_projection_publishes_w_and_shows_start_target_and_result(bucket: Bucket, tmp_path: Path) -> None:
    index, images = radiographs(60)
    keys = index["key"][[3, 8]].tolist()
    values = {"label": "positive", "keys": keys, "steps": 30, "w_samples": 200, "tile": 16}
    artifact = made(bucket, projection.run, ProjectConfig.parse(values))
    with Image.open(artifact.fetch("projection.png", tmp_path / "local")) as shown:
        assert "radiograph of a patient" in shown.info["Description"]
        sheet = np.asarray(shown)
    about = json.loads(artifact.read("projection.json"))
    tensors = artifact.fetch("projection.safetensors", tmp_path / "local")
    with safetensors.safe_open(tensors, "pt") as stored:
        w = stored.get_tensor("w")
        noise = [stored.get_tensor(f"noise{number}") for number in range(5)]
    with torch.inference_mode():
        again = generator().synthesis(generator().broadcast(w), noise)
    for row in range(2):
        np.testing.assert_array_equal(tile_at(sheet, row, 1), images[[3, 8][row]])
        result = ((again[row, 0] + 1) * 127.5).round().clamp(0, 255).numpy().astype(np.uint8)
        assert near(tile_at(sheet, row, 2), result)
        assert about[row]["key"] == keys[row]
        assert about[row]["distance"] < about[row]["distance_start"]


def test_a_radiograph_that_the_data_set_lacks_is_refused(bucket: Bucket) -> None:
    config = ProjectConfig.parse({"label": "positive", "keys": ["patient9/x.png"]})
    with pytest.raises(InputError, match=r"has no patient9/x\.png; its keys look like patient00000/study1"):
        made(bucket, projection.run, config)


@pytest.mark.parametrize("space", ["none", "inception"])
def test_features_without_a_gradient_are_refused(space: str) -> None:
    weights = {"weights": "/w.pth", "sha256": "0" * 64} if space == "inception" else {}
    values = {"label": "positive", "keys": ["a"], "distance": "features"}
    with pytest.raises(ConfigError, match=f"{space} gives no gradient"):
        ProjectConfig.parse(values | {"features": {"space": space} | weights})
