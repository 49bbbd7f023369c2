"""Generators out of the artifacts of `train-gan`."""

import json

import safetensors.torch

from mura_jobs.errors import ConfigError, InputError
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
    except (ConfigError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"{artifact.prefix}/{CONFIG} describes no generator: {error}") from None
    generator = Generator(config).requires_grad_(False)
    try:
        generator.load_state_dict(safetensors.torch.load(artifact.read(WEIGHTS)))
    except RuntimeError as error:
        raise InputError(f"{artifact.prefix}/{WEIGHTS} does not fit {CONFIG}: {error}") from None
    if config.labels:
        if label not in recipe["classes"]:
            raise InputError(f"{artifact.prefix} draws {', '.join(recipe['classes'])}, and not {label}")
        generator = _of_label(generator, recipe["classes"].index(label))
    return generator.eval()


def _of_label(conditional: Generator, number: int) -> Generator:
    generator = Generator(conditional.config.model_copy(update={"labels": 0})).requires_grad_(False)
    generator.load_state_dict(generator_without_labels(conditional.state_dict(), number))
    return generator
