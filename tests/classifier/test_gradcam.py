import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from mura_jobs.classifier.calls import CALLS, choose
from mura_jobs.classifier.gradcam import as_grey, blocks, gradcam
from mura_jobs.features.config import NetworkConfig
from mura_jobs.features.network import DEVIATION, MEAN, Classifier, build

FAMILIES = ["resnet18", "densenet121", "efficientnet_b0", "convnext_tiny"]


def network(name: str, side: int = 128) -> Classifier:
    return build(NetworkConfig.parse({"name": name}), side, seed=0, pretrained=None).eval()


def noise(images: int, side: int) -> torch.Tensor:
    return torch.rand(images, 1, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_blocks_one_after_another_are_the_features(name: str) -> None:
    built, x = network(name, 64), noise(2, 64)
    expected = built.features(x.clone())
    for block in blocks(built.features):
        x = block(x)
    torch.testing.assert_close(x, expected)


def test_the_map_of_a_pooled_network_is_the_last_layers_weighted_sum() -> None:
    """Behind global average pooling Grad-CAM is CAM (Selvaraju et al. 2017, appendix A)."""
    built, images = network("resnet18"), noise(3, 128)
    features_NCHW = built.features((images - MEAN) / DEVIATION)
    assert features_NCHW.shape[-1] == 4
    positive = torch.tensor([True, False, True])
    signed = torch.einsum("nchw,c->nhw", features_NCHW, built.logit.weight[0])
    cam = torch.where(positive[:, None, None], signed, -signed).relu()[:, None]
    cam = F.interpolate(cam, size=(128, 128), mode="bilinear", align_corners=False)[:, 0]
    found = gradcam(built, images, positive)
    for got, expected in zip(found, cam, strict=True):
        top = expected.max()
        torch.testing.assert_close(got, expected / top if top else expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("side", [32, 64])
def test_maps_of_an_image_do_not_depend_on_its_company_and_leave_no_gradients(name: str, side: int) -> None:
    built, images = network(name, side), noise(3, side)
    positive = torch.tensor([True, True, False])
    together = gradcam(built, images, positive)
    assert together.shape == (3, side, side)
    assert together.min() >= 0
    assert together.max() <= 1
    alone = torch.cat([gradcam(built, images[[at]], positive[[at]]) for at in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=1e-3)
    assert all(weight.grad is None for weight in built.parameters())


def test_the_map_lies_where_the_evidence_is() -> None:
    """The first kernel is the identity of brightness, the last layer sums it: the bright square is found."""

    class Bright(Classifier):
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.features = torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.ReLU())
            self.norm, self.pool = torch.nn.Identity(), torch.nn.AdaptiveAvgPool2d(1)
            self.logit = torch.nn.Linear(1, 1)
            torch.nn.init.ones_(self.logit.weight)
            self.freeze_backbone = False

    image = torch.zeros(1, 1, 32, 32)
    image[..., 4:12, 20:28] = 1
    for_positive = gradcam(Bright(), image, torch.tensor([True]))[0]
    assert for_positive[6:10, 22:26].min() > 0.7  # resizing softens the square's edge
    assert for_positive[16:].max() == 0
    assert gradcam(Bright(), image, torch.tensor([False])).max() == 0  # nothing speaks for negative
    assert as_grey(for_positive[None], 16).max() == 255


def test_of_each_kind_the_surest_of_different_patients_are_chosen() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "key": [f"image{number:03d}" for number in range(80)],
            "patient": [f"patient{number % 30}" for number in range(80)],
            "label": random.choice(["positive", "negative"], 80),
            "probability": random.uniform(size=80),
        }
    )
    chosen = choose(table, 0.4, 3)
    assert chosen["call"].tolist() == [call for call in CALLS for _ in range(3)]
    right = chosen["call"].str.startswith("true")
    assert (((chosen["probability"] >= 0.4) == (chosen["label"] == "positive")) == right).all()
    for call, rows in chosen.groupby("call"):
        assert rows["patient"].is_unique
        others = choose(table, 0.4, 80)
        others = others[(others["call"] == call) & ~others["key"].isin(rows["key"])]
        margin = (rows["probability"] - 0.4).abs()
        assert margin.is_monotonic_decreasing
        assert margin.min() >= (others["probability"] - 0.4).abs().max()
    assert choose(table[table["label"] == "positive"], 0.0, 3)["call"].unique().tolist() == ["true positive"]
