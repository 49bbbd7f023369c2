"""Weights to start from: torchvision's, or a file of the same layout from disk or bucket."""

import re

from torch import Tensor, nn
import torchvision

from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import InputError
from mura_jobs.features.config import NetworkConfig
from mura_jobs.features.pinned import parse_tensors, read_pinned

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
    assert config.pretrained_sha256 is not None, "required with a file"
    data = read_pinned("network.pretrained", config.pretrained, config.pretrained_sha256, bucket)
    return parse_tensors("network.pretrained", config.pretrained, data)


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
