import pytest
import torch
import torchvision

from mura_jobs.features.config import NetworkConfig
from mura_jobs.features.network import DEVIATION, MEAN, build

FAMILIES = ("resnet18", "densenet121", "efficientnet_b0", "convnext_tiny")


def network(**values: object) -> NetworkConfig:
    return NetworkConfig.parse(values)


def test_initial_weights_depend_on_the_seed_alone() -> None:
    """Not on what was drawn before: so that all arms of a seed start from the same weights."""
    torch.manual_seed(1)
    first = build(network(), 32, 5, None).state_dict()
    torch.manual_seed(2)
    second = build(network(), 32, 5, None).state_dict()
    other = build(network(), 32, 6, None).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["logit.weight"], other["logit.weight"])


def test_building_leaves_the_global_stream_as_it_was() -> None:
    before = torch.random.get_rng_state()
    build(network(), 32, 5, None)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("name", "head"),
    [*((name, "pool") for name in FAMILIES), ("densenet121", "flatten"), ("convnext_tiny", "flatten")],
)
def test_every_family_gives_one_logit_an_image(name: str, head: str) -> None:
    classifier = build(network(name=name, head=head), 64, 0, None).eval()
    with torch.no_grad():
        logits = classifier(torch.rand(3, 1, 64, 64))
    assert logits.shape == (3,)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", FAMILIES)
def test_grey_gives_the_features_of_three_equal_channels(name: str) -> None:
    """Summing kernels over the colours is what makes published weights fit grey images."""
    rgb = torchvision.models.get_model(name, weights=None).eval()
    grey = build(network(name=name), 64, 0, rgb.state_dict()).eval()
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        seen = grey.norm(grey.pool(grey.features((images - MEAN) / DEVIATION))).flatten(1)
        last = next(
            module
            for name, module in rgb.named_modules()
            if isinstance(module, torch.nn.Linear) and module.out_features == 1000
        )
        caught: list[torch.Tensor] = []
        last.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
        rgb(((images - MEAN) / DEVIATION).expand(-1, 3, -1, -1))
    torch.testing.assert_close(seen, caught[0], rtol=1e-3, atol=1e-4)


def test_the_small_stem_keeps_the_resolution() -> None:
    features = build(network(stem="small"), 32, 0, None).features
    with torch.no_grad():
        assert features(torch.rand(2, 1, 32, 32)).shape[2:] == (4, 4)
        assert build(network(), 32, 0, None).features(torch.rand(2, 1, 32, 32)).shape[2:] == (1, 1)


def test_a_frozen_backbone_keeps_weights_and_statistics() -> None:
    config = network(freeze_backbone=True, pretrained="torchvision")
    state = torchvision.models.get_model("resnet18", weights=None).state_dict()
    classifier = build(config, 32, 0, state)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    classifier.train()
    optimiser = torch.optim.SGD(classifier.parameters(), lr=0.1)
    classifier(torch.rand(4, 1, 32, 32)).sum().backward()
    optimiser.step()
    changed = {
        name for name, value in classifier.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"logit.weight", "logit.bias"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "densenet121", "stem": "small"}, "made for ResNets"),
        ({"stem": "small", "pretrained": "torchvision"}, "no published weights"),
        ({"pretrained": "weights/resnet18.pth"}, "pretrained_sha256"),
        ({"pretrained_sha256": "0" * 64}, "pretrained_sha256"),
        ({"freeze_backbone": True}, "random weights"),
        ({"name": "alexnet"}, "resnet18"),
    ],
)
def test_what_can_not_work_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**values)
