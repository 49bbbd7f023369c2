"""Generators out of the artifacts of `train-gan`."""

from collections.abc import Mapping
import json

import torch
from torch import Tensor

from mura_jobs.errors import InputError
from mura_jobs.features.pinned import parse_tensors
from mura_jobs.gan.config import NetworkConfig
from mura_jobs.gan.generator import Generator
from mura_jobs.gan.pretrained.adapt import generator_without_labels
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.config import Label

WEIGHTS = "generator.safetensors"
CONFIG = "config.json"


def load_generator(artifact: Artifact, label: Label) -> Generator:
    """The averaged generator that a training published, for one label, on the CPU.

    Of a conditional one the label is made a part of the weights, so that it is used as any other.

    Raises:
        InputError: the artifact holds no generator, a conditional one that knows no such label, or weights
            and configuration that do not fit together.
    """
    try:
        recipe = json.loads(artifact.read(CONFIG))
        config = NetworkConfig.parse(recipe["network"], "network")
        classes: tuple[str, ...] = tuple(recipe["classes"]) if config.labels else ()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{artifact.prefix}/{CONFIG} describes no generator: {error}") from None
    if len(classes) != config.labels:
        raise InputError(f"{artifact.prefix}/{CONFIG}: {config.labels} labels by the names {classes}")
    where = f"{artifact.prefix}/{WEIGHTS}"
    tensors = parse_tensors(where, WEIGHTS, artifact.read(WEIGHTS))
    _require_fitting(config, tensors, where)
    generator = Generator(config).requires_grad_(False)
    generator.load_state_dict(tensors)
    if config.labels:
        if label not in classes:
            raise InputError(f"{artifact.prefix} draws {', '.join(map(str, classes))}, and not {label}")
        generator = _of_label(generator, classes.index(label))
    return generator.eval()


def _require_fitting(config: NetworkConfig, tensors: Mapping[str, Tensor], where: str) -> None:
    """Check names and shapes before the network takes memory for what its configuration says."""
    layers = max(config.mapping_layers, config.resolution.bit_length())
    if layers > len(tensors):
        raise InputError(f"{where} does not fit {CONFIG}: {len(tensors)} tensors of {layers} layers")
    try:
        with torch.device("meta"):
            Generator(config).load_state_dict({name: value.to("meta") for name, value in tensors.items()})
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{where} does not fit {CONFIG}: {error}") from None


def _of_label(conditional: Generator, number: int) -> Generator:
    generator = Generator(conditional.config.model_copy(update={"labels": 0})).requires_grad_(False)
    generator.load_state_dict(generator_without_labels(conditional.state_dict(), number))
    return generator
