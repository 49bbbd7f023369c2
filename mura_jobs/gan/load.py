"""Generators out of the artifacts of `train-gan`."""

import json

import safetensors.torch
import torch
from torch import Tensor

from mura_jobs.errors import ConfigError, InputError
from mura_jobs.gan.config import NetworkConfig
from mura_jobs.gan.generator import Generator
from mura_jobs.gan.labels import one_hot
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.config import Label

WEIGHTS = "generator.safetensors"
CONFIG = "config.json"


def class_of(artifact: Artifact, label: Label) -> Tensor | None:
    """A label as the published generator takes it, one-hot (1, labels); None if it is that label's own.

    Raises:
        InputError: a conditional generator knows no such label.
    """
    classes = json.loads(artifact.read(CONFIG))["classes"]
    if not classes:
        return None
    if label not in classes:
        raise InputError(f"{artifact.prefix} draws {', '.join(classes)}, and not {label}")
    return one_hot(torch.tensor([classes.index(label)]), len(classes))


def load_generator(artifact: Artifact) -> Generator:
    """The averaged generator that a training published, on the CPU.

    Raises:
        InputError: the artifact holds no generator, or weights and configuration do not fit together.
    """
    try:
        config = NetworkConfig.parse(json.loads(artifact.read(CONFIG))["network"], "network")
    except (ConfigError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"{artifact.prefix}/{CONFIG} describes no generator: {error}") from None
    generator = Generator(config).requires_grad_(False)
    try:
        generator.load_state_dict(safetensors.torch.load(artifact.read(WEIGHTS)))
    except RuntimeError as error:
        raise InputError(f"{artifact.prefix}/{WEIGHTS} does not fit {CONFIG}: {error}") from None
    return generator.eval()
