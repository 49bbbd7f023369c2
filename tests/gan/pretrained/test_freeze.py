from hashlib import sha256
from pathlib import Path

import pytest
import torch

from mura_jobs.bucket.local import LocalBucket
from mura_jobs.errors import ConfigError, Stopped
from mura_jobs.gan.config import InitialConfig, TrainGanSettings
from mura_jobs.gan.pretrained.transfer import start_from
from mura_jobs.gan.state import TrainState
from mura_jobs.gan.step import Step
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.world import World
from tests.gan.pretrained.files import published
from tests.gan.pretrained.test_transfer import networks
from tests.gan.small import recipe, settings
from tests.gan.test_train import PLACE, StopAfter, bucket_with_images, config, train


def initial(
    folder: Path, parts: tuple[str, ...] = ("G", "D", "G_ema"), resolution: int = 16
) -> dict[str, str]:
    """The section of a configuration, and its file."""
    given = networks(resolution=resolution, image_channels=3)
    data = published({name: given[name] for name in parts})
    path = folder / "published.pkl"
    path.write_bytes(data)
    return {"weights": str(path), "sha256": sha256(data).hexdigest()}


def test_frozen_blocks_stay_and_the_others_move(tmp_path: Path) -> None:
    """Neither gradients nor Adam's averages: as if the frozen layers were constants."""
    chosen = settings(initial=initial(tmp_path), freeze_d=1)
    state = TrainState.fresh(recipe(chosen), chosen, torch.device("cpu"))
    assert chosen.initial is not None
    start_from(state, chosen.initial, LocalBucket(tmp_path), chosen.freeze_d)
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    step = Step(recipe(chosen), chosen, World())
    for _ in range(2):
        step(state, torch.rand(4, 1, 16, 16) * 2 - 1)
    for name, tensor in state.tensors().items():
        network, _, rest = name.partition(".")
        if network in ("D", "adam_d"):
            frozen = rest.startswith(("fromrgb", "b16"))
            assert torch.equal(tensor, before[name]) == frozen, name
    name = "G.synthesis.b16.conv0.weight"
    assert not torch.equal(state.tensors()[name], before[name])


@pytest.mark.parametrize("freeze_d", [0, 2])
def test_a_training_from_given_weights_resumes_exactly_and_reads_them_once(
    tmp_path: Path, freeze_d: int
) -> None:
    chosen = config(initial=initial(tmp_path), freeze_d=freeze_d)
    whole = train(bucket_with_images(tmp_path / "whole"), chosen)
    bucket = bucket_with_images(tmp_path / "stopped")
    with pytest.raises(Stopped):
        train(bucket, chosen, StopAfter(5))
    (tmp_path / "published.pkl").unlink()
    resumed = train(bucket, chosen)
    assert resumed.manifest.objects == whole.manifest.objects
    drawn = train(bucket_with_images(tmp_path / "drawn"), config())
    assert drawn.manifest.objects["generator.safetensors"] != whole.manifest.objects["generator.safetensors"]


def test_another_file_under_the_same_name_is_another_configuration(tmp_path: Path) -> None:
    bucket = bucket_with_images(tmp_path)
    with pytest.raises(Stopped):
        train(bucket, config(initial=initial(tmp_path)), StopAfter(5))
    other = {"weights": str(tmp_path / "published.pkl"), "sha256": "0" * 64}
    with pytest.raises(ConfigError, match=r"(?s)initial\.sha256: .* → \"000.*--replace"):
        train(bucket, config(initial=other))


def test_an_output_of_another_run_starts_a_training(tmp_path: Path) -> None:
    """By its folder, or by its file; its generator's digest stands in the manifest."""
    bucket = bucket_with_images(tmp_path)
    earlier = train(bucket, config())
    stored = earlier.manifest.objects["generator.safetensors"]
    state = TrainState.fresh(recipe(settings()), settings(), torch.device("cpu"))
    for weights in (f"runs/r/{PLACE}", f"runs/r/{PLACE}/{stored.key}"):
        fitted = start_from(state, InitialConfig(weights=weights, sha256=stored.sha256), bucket, 0)
        assert {found.fresh for found in fitted.values()} == {()}
        assert fitted.keys() == {"G", "G_ema"}
    assert Artifact.open(bucket, f"runs/r/{PLACE}").manifest == earlier.manifest


@pytest.mark.parametrize(
    ("parts", "resolution", "missing"), [(("G_ema",), 16, "b16"), (("G_ema", "D"), 8, "b16")]
)
def test_random_weights_are_never_frozen(
    tmp_path: Path, parts: tuple[str, ...], resolution: int, missing: str
) -> None:
    bucket = bucket_with_images(tmp_path)
    with pytest.raises(ConfigError, match=f"has not all of the discriminator's {missing}.*lower freeze_d"):
        train(bucket, config(initial=initial(tmp_path, parts, resolution), freeze_d=1))
    with pytest.raises(ConfigError, match="freeze_d keeps random weights unless initial is given"):
        TrainGanSettings.parse({"freeze_d": 1})


def test_more_blocks_than_there_are_cant_be_frozen(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="freeze_d: 3, but the discriminator has 2 blocks at 16×16"):
        recipe(settings(initial=initial(tmp_path), freeze_d=3))
