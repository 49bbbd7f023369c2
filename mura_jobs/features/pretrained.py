"""Weights to start from: torchvision's, or a file of the same layout from disk or bucket."""

from hashlib import sha256
import io
from pathlib import Path
import re

import safetensors.torch
import torch
from torch import Tensor, nn
import torchvision

from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import InputError
from mura_jobs.features.config import NetworkConfig

_HEAD = re.compile(r"(fc|classifier|classifier\.\d+)\.(weight|bias)")
"""Names of the last layer (and of ConvNeXt's norm before it, a vector) in torchvision's families."""

_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")
"""torchvision's published DenseNet files carry names ("norm.1") that the network no longer has ("norm1")."""


def read_pretrained(config: NetworkConfig, bucket: Bucket) -> dict[str, Tensor] | None:
    """The state to start from, by torchvision's names; None for a start from random weights.

    Raises:
        InputError: the file is not the one that the configuration's sha256 names, or no weights.
    """
    if config.pretrained is None:
        return None
    if config.pretrained == "torchvision":
        weights = torchvision.models.get_model_weights(config.name).DEFAULT
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
        return state
    if config.pretrained.startswith("/"):
        try:
            data = Path(config.pretrained).read_bytes()
        except OSError as error:
            raise InputError(
                f"network.pretrained: {config.pretrained} can't be read: {error.strerror}"
            ) from None
    else:
        data = bucket.read(config.pretrained)
    found = sha256(data).hexdigest()
    if found != config.pretrained_sha256:
        raise InputError(
            f"network.pretrained: {config.pretrained} has sha256 {found}, but pretrained_sha256 says "
            f"{config.pretrained_sha256}; use the file that was meant, or put in its digest"
        )
    return _parse(config.pretrained, data)


def load_backbone(network: nn.Module, name: str, state: dict[str, Tensor]) -> None:
    """Load all but the last layer into a torchvision network.

    Raises:
        InputError: a tensor is missing, unknown or of another shape.
    """
    own = network.state_dict()
    heads = {key for key, value in own.items() if _HEAD.fullmatch(key) and len(value) == 1000}
    given = {_OLD_DENSENET.sub(r"\1", key): value for key, value in state.items()}
    given = {key: value for key, value in given.items() if key not in heads}
    # counts of batches, which files from before torch 0.4.1 lack, are read by nobody
    wanted = {key for key in own.keys() - heads if not key.endswith("num_batches_tracked")}
    problems = [f"{key} is missing" for key in sorted(wanted - given.keys())]
    problems += [f"{key} is unknown" for key in sorted(given.keys() - own.keys())]
    problems += [
        f"{key} is {list(given[key].shape)}, expected {list(own[key].shape)}"
        for key in sorted(given.keys() & own.keys())
        if given[key].shape != own[key].shape
    ]
    if problems:
        shown = "; ".join(problems[:5]) + (f" and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise InputError(f"network.pretrained: not torchvision's weights of {name}: {shown}")
    network.load_state_dict(own | given)


def _parse(name: str, data: bytes) -> dict[str, Tensor]:
    try:
        if name.endswith(".safetensors"):
            return safetensors.torch.load(data)
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - each library raises its own
        raise InputError(f"network.pretrained: {name} can't be read as weights: {error}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"network.pretrained: {name} holds no plain mapping of names to tensors")
    return dict(state)
