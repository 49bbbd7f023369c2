"""Named streams of random numbers: resumed and re-sharded work draws what whole work would have drawn."""

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stream_key(seed: int, purpose: str, *index: int | str) -> int:
    """A 128-bit key that is the same for the same (seed, purpose, index) and unrelated for any other."""
    name = "\x1f".join([str(seed), purpose, *(f"{type(part).__name__}:{part}" for part in index)])
    return int.from_bytes(blake2b(name.encode(), digest_size=16).digest(), "little")


def numpy_stream(seed: int, purpose: str, *index: int | str) -> np.random.Generator:
    """A generator for one purpose, for instance `numpy_stream(seed, "phantom", patient, study)`."""
    return np.random.Generator(np.random.Philox(key=stream_key(seed, purpose, *index)))


def torch_stream(
    seed: int, purpose: str, *index: int | str, device: "torch.device | str" = "cpu"
) -> "torch.Generator":
    """The same for torch. Streams on different kinds of device draw different numbers."""
    import torch

    generator = torch.Generator(device=device)
    generator.manual_seed(stream_key(seed, purpose, *index) % 2**63)
    return generator
