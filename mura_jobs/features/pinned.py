"""Files of weights from disk or bucket, each the one that its sha256 names."""

from hashlib import sha256
import io
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import InputError


def read_pinned(field: str, where: str, digest: str, bucket: Bucket) -> bytes:
    """A file's bytes.

    Args:
        field: of the configuration that names the file, for messages.
        where: a local path if it starts with `/`, else a key in the bucket.
        digest: the sha256 (hex) that the bytes must have.
        bucket: holds the key.

    Raises:
        InputError: the file can't be read, or is another one.
    """
    if where.startswith("/"):
        try:
            data = Path(where).read_bytes()
        except OSError as error:
            raise InputError(f"{field}: {where} can't be read: {error.strerror}") from None
    else:
        data = bucket.read(where)
    found = sha256(data).hexdigest()
    if found != digest:
        raise InputError(
            f"{field}: {where} has sha256 {found}, but the configuration says {digest}; "
            "use the file that was meant, or put in its digest"
        )
    return data


def parse_tensors(field: str, where: str, data: bytes) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or of one that `torch.save` wrote, by name. No code is executed.

    Raises:
        InputError: the bytes are neither, or hold something else than tensors by name.
    """
    try:
        if where.endswith(".safetensors"):
            return safetensors.torch.load(data)
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - each library raises its own
        raise InputError(f"{field}: {where} can't be read as weights: {error}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{field}: {where} holds no plain mapping of names to tensors")
    return dict(state)
