"""Where initial weights come from: a file, read once and checked against its sha256."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import safetensors.numpy

from mura_jobs.bucket.base import Bucket, ObjectMissing
from mura_jobs.errors import InputError
from mura_jobs.gan.config import InitialConfig
from mura_jobs.gan.pretrained.published import NETWORKS, read_published
from mura_jobs.gan.pretrained.storages import Array
from mura_jobs.job.manifest import read_manifest

T = TypeVar("T")

OWN_FILES = ("generator.safetensors", "state.safetensors")
"""What holds the weights in an output of `train-gan`, and in a checkpoint of it."""


@dataclass(frozen=True)
class Source:
    """Arrays of each network that a file has, by the published names."""

    where: str
    """What the file is called in messages."""
    networks: Mapping[str, Mapping[str, Array]]
    """By G, D, G_ema; G_ema is always there."""


def read_source(config: InitialConfig, bucket: Bucket) -> Source:
    """Read the file that the configuration names.

    Raises:
        InputError: it can't be read, is not the one of the sha256, or holds no generator.
    """
    where = f"initial.weights: {config.weights}"
    name, data = _bytes(config.weights, bucket, where)
    found = sha256(data).hexdigest()
    if found != config.sha256:
        raise InputError(
            f"{where} has sha256 {found}, but initial.sha256 says {config.sha256}; use the file that was "
            f"meant, or put in its digest"
        )
    if name.endswith(".pkl"):
        return Source(where, read_published(data, where))
    if name.endswith(".safetensors"):
        return Source(where, _own(data, where))
    raise InputError(f"{where} is neither a .pkl nor a .safetensors file, nor an output of train-gan")


def _bytes(weights: str, bucket: Bucket, where: str) -> tuple[str, bytes]:
    """The file's name and content."""
    try:
        if weights.startswith("/"):
            return weights, Path(weights).read_bytes()
        manifest = read_manifest(bucket, weights.rstrip("/"))
        if manifest is None:
            return weights, bucket.read(weights)
        for name in OWN_FILES:
            if name in manifest.objects:
                return name, bucket.read(f"{weights.rstrip('/')}/{manifest.objects[name].key}")
    except OSError as error:
        raise InputError(f"{where} can't be read: {error.strerror}") from None
    except ObjectMissing:
        raise InputError(f"{where} is not in {bucket.url}; a local path begins with /") from None
    raise InputError(f"{where} is an output of {manifest.stage}, which holds no weights of a GAN")


def _own(data: bytes, where: str) -> dict[str, dict[str, Array]]:
    """The networks of a published generator, or of a checkpoint."""
    try:
        tensors = safetensors.numpy.load(data)
    except Exception as error:  # noqa: BLE001 - the library's own class of errors derives from Exception alone
        raise InputError(f"{where} can't be read as safetensors: {error}") from None
    if "mapping.w_avg" in tensors:
        return {"G_ema": tensors}
    networks = {
        network: {
            key.removeprefix(f"{network}."): tensor
            for key, tensor in tensors.items()
            if key.startswith(f"{network}.")
        }
        for network in NETWORKS
    }
    if not networks["G_ema"]:
        raise InputError(f"{where} holds neither a generator nor a checkpoint of train-gan")
    if networks["D"]:
        networks["D"] = published_discriminator(networks["D"])
    return {network: arrays for network, arrays in networks.items() if arrays}


def published_discriminator(tensors: Mapping[str, T]) -> dict[str, T]:
    """Our discriminator's tensors by the published names: the first layer is of the highest resolution."""
    top = max((int(name[1:].split(".")[0]) for name in tensors if ".conv0." in name), default=0)
    return {
        f"b{top}.{name}" if name.startswith("fromrgb.") else name: value for name, value in tensors.items()
    }
