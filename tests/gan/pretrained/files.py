"""Pickles with the structure of the published ones, made of synthetic layers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
import io
import pickle
import sys
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SOURCE = "raise SystemExit('the source of a layer was executed')"


class Layer(nn.Module):
    """A layer that pickles itself as a call with a dictionary, its state among its values."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__()
        kwargs["mapping_kwargs"] = EasyDict(num_layers=2)
        self._init_args: tuple[object, ...] = ()
        self._init_kwargs = EasyDict(kwargs)
        self.weight_gain = 1 / np.sqrt(8)
        self.block_resolutions = [4, 8, 16]
        self.use_fp16 = False

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {
            "type": "class",
            "version": 6,
            "module_src": SOURCE,
            "class_name": type(self).__name__,
            "state": self.__dict__,
        }
        return reconstruct, (meta,)


class EasyDict(dict[str, object]):
    """A dictionary with a class of its own."""


def reconstruct(meta: object) -> object:
    """What the published file has called; here it is never reached."""
    raise AssertionError(meta)


def tree(tensors: Mapping[str, Tensor]) -> Layer:
    """Layers below layers, as the tensors' dotted names say; resampling filters are buffers."""
    root = Layer()
    for name, tensor in tensors.items():
        *path, last = name.split(".")
        layer = root
        for part in path:
            if part not in layer._modules:
                layer.add_module(part, Layer())
                layer.get_submodule(part).register_buffer("resample_filter", torch.ones(4, 4) / 16)
            layer = layer.get_submodule(part)  # type: ignore[assignment]  # as added above
        if last in ("w_avg", "noise_const"):
            layer.register_buffer(last, tensor.clone())
        else:
            layer.register_parameter(last, nn.Parameter(tensor.clone()))
    return root


@contextmanager
def installed() -> Iterator[None]:
    """Let pickle find the published names where it looks for them."""
    modules: dict[str, dict[str, Any]] = {
        "torch_utils": {},
        "torch_utils.persistence": {"_reconstruct_persistent_obj": reconstruct},
        "dnnlib": {},
        "dnnlib.util": {"EasyDict": EasyDict},
    }
    for module, members in modules.items():
        sys.modules[module] = ModuleType(module)
        for name, member in members.items():
            member.__module__, member.__qualname__, member.__name__ = module, name, name
            setattr(sys.modules[module], name, member)
    try:
        yield
    finally:
        for module in modules:
            del sys.modules[module]


class Lists(pickle.Pickler):
    """Writes storages as lists of their numbers."""

    def reducer_override(self, value: object) -> Any:  # noqa: ANN401 - pickle's protocol
        """How a value is made again."""
        if isinstance(value, torch.storage.TypedStorage):
            whole = torch.tensor([], dtype=value.dtype).set_(value._untyped_storage)
            return torch.FloatStorage, (whole.tolist(),)
        return NotImplemented


def published(
    networks: Mapping[str, Mapping[str, Tensor]],
    pickler: Callable[..., pickle.Pickler] = pickle.Pickler,
    protocol: int = 4,
) -> bytes:
    """A file as the PyTorch release writes it, of networks given by published names."""
    file = io.BytesIO()
    content: dict[str, object] = {"training_set_kwargs": EasyDict(path="x.zip", use_labels=False)}
    content |= {name: tree(tensors) for name, tensors in networks.items()} | {"augment_pipe": None}
    with installed():
        pickler(file, protocol).dump(content)
    return file.getvalue()
