"""The classifiers: torchvision's networks with one grey input channel and one logit."""

from collections import OrderedDict
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn
import torchvision

from mura_jobs.errors import ConfigError
from mura_jobs.features.config import NetworkConfig
from mura_jobs.job.randomness import stream_key

MEAN, DEVIATION = 0.449, 0.226
"""Grey values are normalised by the mean over ImageNet's channels of their means and standard deviations."""


class Parts(NamedTuple):
    """A torchvision network, taken apart."""

    features: nn.Module
    """Images to feature maps."""
    channels: int
    """Channels of the feature maps."""
    norm: nn.Module
    """Normalisation between pooling and the last layer, or nothing."""
    dropout: float
    """Dropout before the last layer."""


class Classifier(nn.Module):
    """Grey image to the logit of "positive"."""

    def __init__(self, config: NetworkConfig, parts: Parts, resolution: int) -> None:
        super().__init__()
        self.freeze_backbone = config.freeze_backbone
        self.features = parts.features
        self.norm = parts.norm
        self.pool: nn.Module = nn.AdaptiveAvgPool2d(1) if config.head == "pool" else nn.Identity()
        self.dropout = nn.Dropout(parts.dropout)
        side = _feature_side(parts.features, config.name, resolution)
        side = side if config.head == "flatten" else 1
        self.logit = nn.Linear(parts.channels * side * side, 1)
        if self.freeze_backbone:
            self.features.requires_grad_(requires_grad=False)

    def embed(self, images_N1HW: Tensor) -> Tensor:
        """What the last layer sees, shape (N, dim), of images with grey values in [0, 1]."""
        normalised = (images_N1HW - MEAN) / DEVIATION
        features: Tensor = self.norm(self.pool(self.features(normalised)))
        return features.flatten(1)

    def forward(self, images_N1HW: Tensor) -> Tensor:
        """Logits, shape (N,), of images with grey values in [0, 1]."""
        logits_N1: Tensor = self.logit(self.dropout(self.embed(images_N1HW)))
        return logits_N1.squeeze(1)

    def train(self, mode: bool = True) -> "Classifier":
        """As of any module, but a frozen backbone keeps its normalisation statistics."""
        super().train(mode)
        if self.freeze_backbone:
            self.features.eval()
        return self


def build(
    config: NetworkConfig, resolution: int, seed: int, pretrained: dict[str, Tensor] | None
) -> Classifier:
    """A classifier with initial weights that depend on nothing but the arguments.

    Args:
        config: which network.
        resolution: side of the images it will see, in pixels; `head: flatten` depends on it.
        seed: of the initialisation.
        pretrained: torchvision's state of the whole network, to replace all weights but the last layer's.

    Raises:
        ConfigError: the images are too small for the network.
        InputError: the pretrained weights are not this network's.
    """
    # torchvision initialises from the global stream: it is seeded here and put back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_key(seed, "initialisation") % 2**63)
        network = torchvision.models.get_model(config.name, weights=None)
        if pretrained is not None:
            from mura_jobs.features.pretrained import load_backbone

            load_backbone(network, config.name, pretrained)
        grey_input(network, config)
        return Classifier(config, take_apart(network), resolution).to(memory_format=torch.channels_last)


def grey_input(network: nn.Module, config: NetworkConfig) -> None:
    """Give the first convolution one input channel: its kernels are summed over the colours.

    So a grey image gives the response that three equal channels gave.
    """
    name, rgb = next((name, m) for name, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if config.stem == "small":
        grey = nn.Conv2d(1, rgb.out_channels, kernel_size=3, padding=1, bias=False)
        nn.init.kaiming_normal_(grey.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = nn.Identity()
    else:
        grey = deepcopy(rgb)
        grey.in_channels = 1
        grey.weight = nn.Parameter(rgb.weight.detach().sum(dim=1, keepdim=True))
    network.set_submodule(name, grey)


def take_apart(network: nn.Module) -> Parts:
    """Separate features from the last layer, which torchvision's families name differently."""
    models = torchvision.models
    match network:
        case models.ResNet():
            names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
            features = nn.Sequential(OrderedDict((name, network.get_submodule(name)) for name in names))
            return Parts(features, network.fc.in_features, nn.Identity(), 0.0)
        case models.DenseNet():
            features = nn.Sequential(OrderedDict(dense=network.features, relu=nn.ReLU(inplace=True)))
            return Parts(features, network.classifier.in_features, nn.Identity(), 0.0)
        case models.EfficientNet():
            dropout, linear = network.classifier
            return Parts(network.features, linear.in_features, nn.Identity(), dropout.p)
        case models.ConvNeXt():
            norm, _, linear = network.classifier
            return Parts(network.features, linear.in_features, norm, 0.0)
    raise AssertionError(type(network))


def _feature_side(features: nn.Module, name: str, resolution: int) -> int:
    """Side of the feature maps of images of the given side."""
    try:
        with torch.no_grad():
            side: int = features.eval()(torch.zeros(1, 1, resolution, resolution)).shape[-1]
    except RuntimeError as error:
        raise ConfigError(
            f"network: {name} halves images more often than {resolution} pixels allow ({error}); use a "
            f"larger network.input_size, or a ResNet"
        ) from None
    features.train()
    return side
