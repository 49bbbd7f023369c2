"""Configuration of networks and feature spaces."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mura_jobs.job.config import Config

Network = Literal[
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "densenet121",
    "densenet169",
    "densenet201",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "convnext_tiny",
    "convnext_small",
]
"""Networks by torchvision's names."""


class NetworkConfig(Config):
    """The classifier: a torchvision network with one input channel and one logit."""

    name: Network = "resnet18"
    """The network, by torchvision's name."""

    stem: Literal["imagenet", "small"] = "imagenet"
    """First layers: `imagenet` as published; `small`, for images of 28 to 64 pixels and ResNets only, is a
    3×3 convolution of stride 1 without max-pooling, so that features keep the image's resolution."""

    head: Literal["pool", "flatten"] = "pool"
    """What the last layer sees: the features' mean over the image, or each of them at its place, as the
    notebook had it."""

    input_size: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Side in pixels to which images are resized for the network (16 to 1024); not given, images stay as
    packed."""

    pretrained: Annotated[str, Field(min_length=1)] | None = None
    """Weights to start from: `torchvision` downloads those it publishes for ImageNet; anything else is a
    `.safetensors` or `.pth` file, a local path if it starts with `/`, else a key in the bucket. Of an RGB
    network the first layer's kernels are summed over the channels. The last layer is always new."""

    pretrained_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """The sha256 (hex) of the weights' file; required with a file."""

    freeze_backbone: bool = False
    """Train the last layer only; everything before it keeps its weights and its normalisation statistics."""

    @model_validator(mode="after")
    def _fits(self) -> "NetworkConfig":
        if self.stem == "small" and not self.name.startswith("resnet"):
            raise ValueError(f"stem: small is made for ResNets, not for {self.name}; use imagenet")
        if self.stem == "small" and self.pretrained:
            raise ValueError("stem: small has no published weights; use imagenet, or leave out pretrained")
        is_file = self.pretrained not in (None, "torchvision")
        if is_file != (self.pretrained_sha256 is not None):
            raise ValueError("pretrained_sha256 goes with a pretrained file: give both or neither")
        if self.freeze_backbone and not self.pretrained:
            raise ValueError("freeze_backbone keeps random weights unless pretrained is given")
        return self


class FeaturesConfig(Config):
    """A space in which images are compared: what a trained network makes of them before its last layer."""

    space: Literal["none", "efficientnet-lite0", "inception", "classifier"] = "efficientnet-lite0"
    """Whose features: `efficientnet-lite0`, trained on ImageNet, comes with the installation; `inception` is
    the network of the published Fréchet distances (2015-12-05), from a file; `classifier` is one that
    `train-cnn` made; `none` does without, and without whatever needs features."""

    weights: Annotated[str, Field(min_length=1)] | None = None
    """For `inception` the file of its weights, a local path if it starts with `/`, else a key in the bucket;
    for `classifier` a published classifier's place in the bucket, as `runs/mine/train-cnn/real/seed-0`."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """The sha256 (hex) of the weights' file; a classifier's is `weights.safetensors`, in its manifest."""

    @model_validator(mode="after")
    def _weights_are_named(self) -> "FeaturesConfig":
        needs = self.space in ("inception", "classifier")
        if needs != (self.weights is not None) or needs != (self.sha256 is not None):
            raise ValueError(
                f"space: {self.space} goes "
                + ("with weights and their sha256: give both" if needs else "without weights and sha256")
            )
        return self
