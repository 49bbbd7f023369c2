"""The networks in a published StyleGAN2-ADA pickle, as arrays by name.

The PyTorch release writes a dictionary with G, D and G_ema. Each network, and each of its layers, is a call
of `torch_utils.persistence._reconstruct_persistent_obj` with a dictionary: the layer's Python source, which
is ignored here, its class's name, and its state, in which parameters, buffers and sub-modules lie in
dictionaries of their own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np

from mura_jobs.errors import InputError
from mura_jobs.gan.pretrained.pickles import Constructor, Opaque, unpickle
from mura_jobs.gan.pretrained.storages import (
    STORAGES,
    Array,
    load_from_bytes,
    rebuild_parameter,
    rebuild_tensor,
)

NETWORKS = ("G", "D", "G_ema")

MAX_MODULES = 4096
"""Modules that a network may have, each counted as often as it is reached; the largest published has 200."""


@dataclass
class Module:
    """A network or layer that was not built: its state alone."""

    state: dict[str, object]

    def named_arrays(self, where: str) -> Iterator[tuple[str, Array]]:
        """Parameters and buffers of this module and all below it, by dotted names."""
        waiting = [("", self)]
        for _ in range(MAX_MODULES):
            if not waiting:
                return
            prefix, module = waiting.pop()
            for group in ("_parameters", "_buffers"):
                for name, array in _section(module, group, where).items():
                    if array is not None:
                        yield f"{prefix}{name}", _array(array, f"{where}.{prefix}{name}")
            for name, below in _section(module, "_modules", where).items():
                if not isinstance(below, Module):
                    raise InputError(f"{where}.{prefix}{name} is a {type(below).__name__}, not a layer")
                waiting.append((f"{prefix}{name}.", below))
        raise InputError(f"{where} has more than {MAX_MODULES} layers")


def read_published(data: bytes, where: str) -> dict[str, dict[str, Array]]:
    """The arrays of each network in the file, by the names that the file gives them.

    Raises:
        InputError: the file asks for anything but plain weights, or is no such file.
    """
    value = unpickle(BytesIO(data), where, CONSTRUCTORS, INERT)
    if not isinstance(value, dict):
        raise InputError(f"{where} holds a {type(value).__name__}; expected a dictionary with G_ema")
    found = {name: value[name] for name in NETWORKS if value.get(name) is not None}
    if "G_ema" not in found:
        raise InputError(f"{where} holds no G_ema; it is not a StyleGAN2-ADA file of the PyTorch release")
    for name, network in found.items():
        if not isinstance(network, Module):
            raise InputError(f"{where}: {name} is a {type(network).__name__}, not a network")
    return {name: dict(network.named_arrays(f"{where}: {name}")) for name, network in found.items()}


def _reconstruct(meta: object, *_: object) -> Module:
    if not isinstance(meta, dict) or meta.get("type") != "class" or not isinstance(meta.get("state"), dict):
        raise InputError("a persistent object that is not a class with a state")
    return Module(meta["state"])


def _dictionary(*arguments: object) -> dict[object, object]:
    if arguments:
        raise InputError("a dictionary made of arguments instead of items")
    return {}


def _listed(dtype: np.dtype[np.generic], numbers: object) -> Array:
    """A storage that is written as a list of its numbers."""
    if not isinstance(numbers, list) or not all(type(n) in (int, float, bool) for n in numbers):
        raise InputError("a storage that is made of something else than a list of numbers")
    with np.errstate(over="ignore"):  # beyond half precision is infinite, as torch has it
        return np.array(numbers, dtype)


CONSTRUCTORS: Mapping[str, Constructor] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _reconstruct,
    "collections.OrderedDict": _dictionary,
    "dnnlib.util.EasyDict": _dictionary,
    "torch.storage._load_from_bytes": load_from_bytes,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    **{name: partial(_listed, dtype) for name, dtype in STORAGES.items()},
    # attributes of layers, such as gains, that are given by the architecture and not read
    "builtins.set": Opaque,
    "numpy.dtype": Opaque,
    "numpy.core.multiarray.scalar": Opaque,
    "numpy._core.multiarray.scalar": Opaque,
    "torch.Size": Opaque,
    "torch.device": Opaque,
}
"""What a published file may make, and what it makes here."""

INERT = frozenset({"torch.float32", "torch.float16", "torch.contiguous_format", "torch.channels_last"})
"""Names that a published file may mention as an attribute of a layer."""


def _section(module: Module, name: str, where: str) -> Mapping[str, object]:
    section = module.state.get(name, {})
    if not isinstance(section, dict) or not all(isinstance(key, str) for key in section):
        raise InputError(f"{where}: {name} of a layer is no dictionary of names")
    return section


def _array(value: object, where: str) -> Array:
    if not isinstance(value, np.ndarray):
        raise InputError(f"{where} is a {type(value).__name__}, not a tensor")
    return value
