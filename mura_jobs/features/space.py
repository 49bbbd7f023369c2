"""Feature spaces by name: images in, one vector for each out."""

from collections.abc import Callable
from dataclasses import dataclass
import json
from pathlib import Path
import tempfile
from typing import Self

import numpy as np
from numpy.typing import NDArray
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional as F

from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import InputError
from mura_jobs.features import lite0
from mura_jobs.features.config import FeaturesConfig, NetworkConfig
from mura_jobs.features.network import Classifier, build
from mura_jobs.features.pinned import parse_tensors, read_pinned
from mura_jobs.job.artifact import Artifact

Floats = NDArray[np.float32]

AT_ONCE = {"cpu": 4, "cuda": 64}
"""Images that go through the network together. On a CPU larger batches would spend as long on getting memory
from the system as on computing."""


@dataclass(frozen=True)
class FeatureSpace:
    """A network's features under its name, which goes wherever a figure measured in it goes."""

    name: str
    network: Callable[[Tensor], Tensor]
    """Grey images in [0, 1], (N, 1, R, R), to features (N, dim)."""
    device: torch.device

    def embed(self, grey_N1RR: Tensor) -> Tensor:
        """Features (N, dim) of grey images in [0, 1]; differentiable but for `inception`."""
        return self.network(grey_N1RR.to(self.device))

    @torch.inference_mode()
    def __call__(self, images_NRR: NDArray[np.uint8]) -> Floats:
        """Features (N, dim), float32, of uint8 images; those of an image do not depend on the others."""
        some = AT_ONCE[self.device.type]
        parts = [
            self.embed(torch.from_numpy(np.array(images_NRR[first : first + some]))[:, None].float() / 255)
            for first in range(0, len(images_NRR), some)
        ]
        features: Floats = torch.cat(parts).float().cpu().numpy()
        return features

    def to(self, device: torch.device | str) -> Self:
        """The same space, computed on another device."""
        if isinstance(self.network, torch.nn.Module):
            self.network.to(device)
        return type(self)(self.name, self.network, torch.device(device))


def open_space(config: FeaturesConfig, bucket: Bucket) -> FeatureSpace | None:
    """The space that the configuration names, on the CPU; None for `none`.

    Raises:
        InputError: its weights can't be read, or are not those that the sha256 names.
    """
    if config.space == "none":
        return None
    network: torch.nn.Module
    if config.space == "efficientnet-lite0":
        network = _Lite0Features(lite0.load_lite0())
    elif config.space == "inception":
        network = _inception(config, bucket)
    else:
        network = _classifier(config, bucket)
    return FeatureSpace(config.space, network.requires_grad_(False).eval(), torch.device("cpu"))


class _Lite0Features(torch.nn.Module):
    def __init__(self, network: lite0.Lite0) -> None:
        super().__init__()
        self.network = network

    def forward(self, grey_N1RR: Tensor) -> Tensor:
        resized = _resized(grey_N1RR * 255, lite0.INPUT_SIZE).expand(-1, 3, -1, -1)
        features: Tensor = self.network(resized.contiguous(memory_format=torch.channels_last))
        return features


class _ClassifierFeatures(torch.nn.Module):
    def __init__(self, network: Classifier, size: int) -> None:
        super().__init__()
        self.network = network
        self.size = size

    def forward(self, grey_N1RR: Tensor) -> Tensor:
        return self.network.embed(_resized(grey_N1RR, self.size))


class _InceptionFeatures(torch.nn.Module):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, grey_N1RR: Tensor) -> Tensor:
        assert not grey_N1RR.requires_grad, "it takes bytes, and so has no gradient"
        pixels = (grey_N1RR * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)
        features: Tensor = self.network(pixels)[0]
        return features


def _resized(images_NCRR: Tensor, size: int) -> Tensor:
    if images_NCRR.shape[-1] == size:
        return images_NCRR
    return F.interpolate(images_NCRR, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def _inception(config: FeaturesConfig, bucket: Bucket) -> torch.nn.Module:
    assert config.weights is not None
    assert config.sha256 is not None
    state = parse_tensors(
        "weights", config.weights, read_pinned("weights", config.weights, config.sha256, bucket)
    )
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with tempfile.TemporaryDirectory() as folder:
        # The library would execute whatever a pickle says: it gets a file that holds tensors alone.
        file = Path(folder, "inception.pth")
        torch.save(state, file)
        try:
            return _InceptionFeatures(
                FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(file))
            )
        except RuntimeError as error:
            raise InputError(
                f"weights: {config.weights} holds no weights of the Inception network of 2015-12-05: {error}"
            ) from None


def _classifier(config: FeaturesConfig, bucket: Bucket) -> torch.nn.Module:
    assert config.weights is not None
    artifact = Artifact.open(bucket, config.weights.strip("/"))
    stored = artifact.manifest.objects.get("weights.safetensors")
    if artifact.manifest.stage != "train-cnn" or stored is None or stored.sha256 != config.sha256:
        raise InputError(
            f"weights: {config.weights} is the output of {artifact.manifest.stage}, its weights.safetensors "
            f"has sha256 {stored and stored.sha256}; expected a train-cnn's with {config.sha256}"
        )
    network = NetworkConfig.parse(artifact.manifest.config["network"], artifact.prefix)
    size: int = json.loads(artifact.read("metrics.json"))["input_size"]
    classifier = build(network, size, seed=0, pretrained=None)
    classifier.load_state_dict(safetensors.torch.load(artifact.read("weights.safetensors")))
    return _ClassifierFeatures(classifier, size)
