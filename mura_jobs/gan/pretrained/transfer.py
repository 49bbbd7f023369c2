"""Initial weights put into the networks of a training: all that fits, with a record of what did not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.gan.config import InitialConfig
from mura_jobs.gan.discriminator import Discriminator
from mura_jobs.gan.generator import Generator
from mura_jobs.gan.pretrained.adapt import (
    EMBED,
    FC0,
    discriminator_to_grey,
    discriminator_with_labels,
    discriminator_without_labels,
    generator_to_grey,
    generator_with_labels,
    generator_without_labels,
)
from mura_jobs.gan.pretrained.source import Source, published_discriminator, read_source
from mura_jobs.gan.pretrained.storages import Array
from mura_jobs.gan.state import TrainState

DERIVED = ".resample_filter"
"""Ending of published tensors that follow from the architecture."""


@dataclass(frozen=True)
class Fitted:
    """What became of the tensors, by layers and blocks in the published names."""

    loaded: int
    """Tensors that were loaded."""
    fresh: tuple[str, ...]
    """Parts of the network that the file had nothing for, and that stay as they were drawn."""
    unused: tuple[str, ...]
    """Parts of the file that the network has no place for."""


def start_from(state: TrainState, config: InitialConfig, bucket: Bucket, freeze_d: int) -> dict[str, Fitted]:
    """Load initial weights into fresh networks: G and D from theirs, G from G_ema where there is no other.

    Raises:
        InputError: the file is unusable, or not the one of the sha256.
        ConfigError: its networks have other widths or another depth, or frozen layers are not in it.
    """
    source = read_source(config, bucket)
    averaged = source.networks["G_ema"]
    fitted = {
        "G": _load_generator(state.G, source.networks.get("G", averaged), source),
        "G_ema": _load_generator(state.G_ema, averaged, source),
    }
    if "D" in source.networks:
        fitted["D"] = _load_discriminator(state.D, source.networks["D"], source)
    _require_frozen(state.D, freeze_d, fitted.get("D"), source)
    return fitted


def _load_generator(network: Generator, arrays: Mapping[str, Array], source: Source) -> Fitted:
    own = dict(network.state_dict())
    depth = sum(1 for name in arrays if name.startswith("mapping.fc") and name.endswith(".weight"))
    layers = network.config.mapping_layers
    if depth != layers:
        raise ConfigError(
            f"{source.where}: its mapping network has {depth} layers, this training's has {layers}; "
            f"set train-gan.mapping_layers to {depth}"
        )
    given = _tensors(arrays, own, source, also=(f"{EMBED}.weight", f"{EMBED}.bias"))
    if _labels(given) != _labels(own) and _labels(given):
        given = generator_without_labels(given)
    if _labels(given) != _labels(own):
        given = generator_with_labels(given, own[f"{FC0}.weight"].shape[1])
    if own["synthesis.b4.torgb.weight"].shape[0] == 1:
        given = {name: generator_to_grey(name, tensor) for name, tensor in given.items()}
    return _load(own, given, arrays, source)


def _load_discriminator(network: Discriminator, arrays: Mapping[str, Array], source: Source) -> Fitted:
    own = published_discriminator(network.state_dict())
    mapped = [n for n in arrays if n.startswith("mapping.") and n.endswith((".weight", ".bias"))]
    given = _tensors(arrays, own, source, also=mapped)
    if _labels(given) != _labels(own) and _labels(given):
        given = discriminator_without_labels(given)
    if _labels(given) != _labels(own):
        given = discriminator_with_labels(given)
    if network.config.image_channels == 1:
        given = {name: discriminator_to_grey(name, tensor) for name, tensor in given.items()}
    return _load(own, given, arrays, source)


def _labels(tensors: Mapping[str, Tensor]) -> int:
    """Classes of a conditional network, 0 for an unconditional one."""
    name = f"{EMBED}.weight"
    return tensors[name].shape[1] if name in tensors else 0


def _tensors(
    arrays: Mapping[str, Array], own: Mapping[str, Tensor], source: Source, also: Iterable[str]
) -> dict[str, Tensor]:
    """Float32 copies of those arrays that have a place, or that others depend on."""
    found = {}
    for name in sorted({*own, *also} & arrays.keys()):
        array = arrays[name]
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise InputError(f"{source.where}: {name} holds something else than finite numbers")
        found[name] = torch.from_numpy(np.array(array, np.float32))
    return found


@torch.no_grad()
def _load(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], arrays: Mapping[str, Array], source: Source
) -> Fitted:
    """Copy what is given by name.

    Raises:
        ConfigError: shapes differ, and not only for labels or colours.
    """
    unequal = [name for name, tensor in given.items() if tensor.shape != own[name].shape]
    if unequal:
        shown = "; ".join(f"{name} {_shape(given[name])}, here {_shape(own[name])}" for name in unequal[:4])
        more = f" and {len(unequal) - 4} more" if len(unequal) > 4 else ""
        raise ConfigError(
            f"{source.where}: layers have other widths than this training's: {shown}{more}; "
            f"set {_widths(source)}, as in the file"
        )
    for name, tensor in given.items():
        own[name].copy_(tensor)
    learned = {name for name in arrays if not name.endswith(DERIVED)}
    return Fitted(len(given), _parts(own.keys() - given.keys(), own), _parts(learned - own.keys(), learned))


def _widths(source: Source) -> str:
    """The settings that give the file's numbers of channels."""
    shapes = {
        int(name.split(".")[1][1:]): array.shape[0]
        for name, array in source.networks["G_ema"].items()
        if name.startswith("synthesis.b") and name.endswith(".conv1.bias")
    }
    widest = max(shapes.values(), default=0)
    base = max(
        (width * side for side, width in shapes.items() if width < widest), default=widest * max(shapes)
    )
    return f"train-gan.channel_max to {widest} and train-gan.channel_base to {base}"


def _require_frozen(D: Discriminator, freeze_d: int, fitted: Fitted | None, source: Source) -> None:
    """Refuse to freeze what is not in the file.

    Raises:
        ConfigError: naming the blocks.
    """
    frozen = set(D.names[:freeze_d])
    fresh = frozen if fitted is None else frozen & {part.split(".")[0] for part in fitted.fresh}
    if fresh:
        side = D.config.resolution
        raise ConfigError(
            f"freeze_d: {source.where} has not all of the discriminator's {', '.join(sorted(fresh))}, so "
            f"that random weights would be frozen; lower freeze_d, or start from a file with a discriminator "
            f"of {side}×{side}"
        )


def _parts(names: set[str], whole: Iterable[str]) -> tuple[str, ...]:
    """What some tensors are together: a block (synthesis.b8), or else layers (b4.out)."""
    split = {_block(name) for name in set(whole) - names}
    layers = {name.rpartition(".")[0] or name if _block(name) in split else _block(name) for name in names}
    return tuple(sorted(layers))


def _block(name: str) -> str:
    first, second, *_ = [*name.split("."), ""]
    return f"{first}.{second}" if first == "synthesis" else first


def _shape(tensor: Tensor) -> str:
    return "×".join(str(side) for side in tensor.shape) or "scalar"
