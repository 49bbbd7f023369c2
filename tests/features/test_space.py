import hashlib
from pathlib import Path

import numpy as np
from PIL import Image
import pytest
import safetensors.torch
import skimage
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.features.config import FeaturesConfig, NetworkConfig
from mura_jobs.features.lite0 import INPUT_SIZE, load_lite0
from mura_jobs.features.network import build
from mura_jobs.features.space import open_space
from mura_jobs.job.artifact import Draft

CAT, ESPRESSO = range(281, 286), [967]
"""ImageNet's classes."""


class Blank(FeatureExtractorInceptionV3):  # type: ignore[misc]  # no types are published for it
    """The network with whatever weights its layers begin with."""

    def load_state_dict(self, *_: object) -> None:
        """Keep them."""


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return open_bucket(tmp_path.as_uri())


@pytest.mark.parametrize(("picture", "classes"), [("chelsea", CAT), ("coffee", ESPRESSO)])
def test_lite0_knows_what_it_was_trained_on(picture: str, classes: list[int]) -> None:
    """With the published weights in place, a cat is a cat and an espresso an espresso."""
    image = Image.open(Path(skimage.__file__).parent / "data" / f"{picture}.png").convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((INPUT_SIZE, INPUT_SIZE))
    logits = load_lite0().logits(torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float())
    assert int(logits.argmax()) in classes


def test_features_of_an_image_do_not_depend_on_the_others(bucket: Bucket) -> None:
    """So that they may be taken in any share and on any number of processes."""
    space = open_space(FeaturesConfig(), bucket)
    assert space is not None
    images = np.random.default_rng(0).integers(0, 256, (35, 32, 32), dtype=np.uint8)
    features = space(images)
    assert features.shape == (35, 1280)
    np.testing.assert_allclose(features[33:], space(images[33:]), rtol=1e-4, atol=1e-5)


def test_none_needs_no_weights(bucket: Bucket) -> None:
    """The space `none` is no space."""
    assert open_space(FeaturesConfig(space="none"), bucket) is None


def test_weights_and_digest_go_together() -> None:
    """A space that needs a file is refused without one, and one that needs none with one."""
    for settings in (
        {"space": "inception"},
        {"space": "inception", "weights": "w.pth"},
        {"space": "none", "sha256": "0" * 64},
    ):
        with pytest.raises(ConfigError, match=str(settings["space"])):
            FeaturesConfig.parse(settings)


def test_inception_takes_its_published_layout_and_nothing_else(bucket: Bucket, tmp_path: Path) -> None:
    """Weights of its names and shapes load by path and by key; another file and other tensors are refused."""
    torch.save({}, tmp_path / "none.pth")
    state = Blank("blank", ["2048"], feature_extractor_weights_path=str(tmp_path / "none.pth")).state_dict()
    data = safetensors.torch.save(state)
    file = tmp_path / "inception.safetensors"
    file.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    images = np.zeros((2, 32, 32), np.uint8)
    for where in (str(file), "inception.safetensors"):
        space = open_space(FeaturesConfig(space="inception", weights=where, sha256=digest), bucket)
        assert space is not None
        assert space(images).shape == (2, 2048)
    with pytest.raises(InputError, match="sha256"):
        open_space(FeaturesConfig(space="inception", weights=str(file), sha256="0" * 64), bucket)
    other = safetensors.torch.save({"x": torch.zeros(1)})
    bucket.write("other.safetensors", other)
    with pytest.raises(InputError, match="Inception network"):
        open_space(
            FeaturesConfig(
                space="inception", weights="other.safetensors", sha256=hashlib.sha256(other).hexdigest()
            ),
            bucket,
        )


def test_a_classifier_of_ours_is_a_space(bucket: Bucket) -> None:
    """Its features are what its last layer sees; the weights are pinned by their digest."""
    network = NetworkConfig(stem="small")
    classifier = build(network, 32, seed=5, pretrained=None).eval()
    draft = Draft(
        bucket,
        "runs/r/train-cnn/real/seed-0",
        stage="train-cnn",
        config={"network": network.plain()},
        inputs={},
    )
    data = safetensors.torch.save({k: v.contiguous() for k, v in classifier.state_dict().items()})
    draft.put("weights.safetensors", data)
    draft.put("metrics.json", b'{"input_size": 32}')
    draft.publish({})
    digest = hashlib.sha256(data).hexdigest()
    settings = {"space": "classifier", "weights": draft.prefix, "sha256": digest}
    space = open_space(FeaturesConfig.parse(settings), bucket)
    assert space is not None
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    grey = torch.from_numpy(images)[:, None].float() / 255
    with torch.inference_mode():
        logits = classifier.logit(torch.from_numpy(space(images)))[:, 0]
        torch.testing.assert_close(logits, classifier(grey))
    with pytest.raises(InputError, match=digest):
        open_space(FeaturesConfig.parse(settings | {"sha256": "0" * 64}), bucket)
