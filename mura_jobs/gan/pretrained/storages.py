"""Tensors out of pickles: torch's stored numbers, decoded by hand into arrays that share the file's bytes."""

from io import BytesIO
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mura_jobs.errors import InputError
from mura_jobs.gan.pretrained.pickles import Token, unpickle

Array = NDArray[np.generic]

STORAGES: dict[str, np.dtype[Any]] = {
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
    "torch.ByteStorage": np.dtype("u1"),
    "torch.BoolStorage": np.dtype("?"),
}
"""Kinds of storages, by the names in files."""

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
"""What torch.save's format without zip begins with."""


def load_from_bytes(data: object) -> Array:
    """A storage in the bytes that torch.save wrote: what `torch.storage._load_from_bytes` is called with.

    Such bytes hold five pickles (magic number, version, byte order and sizes, the object, the storages'
    keys), then each storage's length and numbers.
    """
    if type(data) is not bytes:
        raise InputError(f"torch.storage._load_from_bytes is called with a {type(data).__name__}, not bytes")
    where, file = "a storage's bytes", BytesIO(data)
    magic, protocol, system = (unpickle(file, where, {}) for _ in range(3))
    if (magic, protocol) != (_MAGIC, _PROTOCOL) or not isinstance(system, dict):
        raise InputError(f"{where} are not in torch's format of one storage")
    if system.get("little_endian") is not True:
        raise InputError(f"{where} are not little-endian; save the file on such a machine")
    found = unpickle(file, where, {}, frozenset(STORAGES), _Stored)
    keys = unpickle(file, where, {})
    if not isinstance(found, _Stored) or keys != [found.key]:
        raise InputError(f"{where} hold something else than one storage")
    start = file.tell()
    end = start + 8 + found.count * found.dtype.itemsize
    if int.from_bytes(data[start : start + 8], "little", signed=True) != found.count or end != len(data):
        raise InputError(f"{where} hold not the {found.count} numbers that they announce")
    return np.frombuffer(data, found.dtype, found.count, start + 8)


class _Stored:
    """The persistent id of a storage."""

    def __init__(self, reference: object) -> None:
        match reference:
            case ("storage", Token(name), str(key), str(), int(count), *view) if view in ([], [None]):
                self.dtype, self.key, self.count = STORAGES[name], key, count
            case _:
                raise InputError("a storage's bytes refer to something else than a whole storage")
        if count < 0:
            raise InputError(f"a storage of {count} numbers")


def rebuild_tensor(storage: object, offset: object, size: object, stride: object, *_: object) -> Array:
    """A view of a storage: what `torch._utils._rebuild_tensor_v2` is called with.

    Raises:
        InputError: it would reach beyond the storage, or be larger than it.
    """
    if not isinstance(storage, np.ndarray) or storage.ndim != 1:
        raise InputError(f"a tensor on a {type(storage).__name__} instead of a storage")
    start, shape, strides = _whole(offset)[0], _whole(*_items(size)), _whole(*_items(stride))
    if len(shape) != len(strides) or len(shape) > 8:
        raise InputError(f"a tensor of {len(shape)} dimensions with {len(strides)} strides")
    last = start + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    count = prod(shape)
    if count and (last >= len(storage) or count > len(storage)):
        raise InputError(f"a tensor of shape {shape} on a storage of {len(storage)} numbers")
    steps = [step * storage.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(storage[start:], shape, steps, writeable=False)


def rebuild_parameter(data: object, *_: object) -> Array:
    """The tensor of a parameter: what `torch._utils._rebuild_parameter` is called with."""
    if not isinstance(data, np.ndarray):
        raise InputError(f"a parameter of a {type(data).__name__} instead of a tensor")
    return data


def _items(value: object) -> tuple[object, ...]:
    if not isinstance(value, tuple):
        raise InputError(f"a {type(value).__name__} for a tensor's shape")
    return value


def _whole(*values: object) -> list[int]:
    found = [value for value in values if type(value) is int and 0 <= value < 2**40]
    if len(found) != len(values):
        raise InputError("a tensor's offset, shape or strides are not whole numbers in range")
    return found
