"""Several processes as one: torchrun's process group, gloo on CPUs and nccl on GPUs."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor
from torch import distributed as dist

from mura_jobs.errors import ConfigError
from mura_jobs.job.world import World

TIMEOUT = timedelta(minutes=10)
"""How long a collective waits for a process that has gone before it fails."""


def choose_device(name: str, local_rank: int) -> str:
    """Resolve "auto" to this process's GPU where there is one.

    Raises:
        ConfigError: CUDA was asked for and torch sees none.
    """
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise ConfigError(
            "device: cuda was asked for, but torch sees no GPU; use cpu or auto, or check the driver"
        )
    return f"cuda:{local_rank}" if name == "cuda" or (name == "auto" and has_cuda) else "cpu"


@contextmanager
def world_of(environment: Mapping[str, str], device: str) -> Iterator[World]:
    """Join the processes that torchrun announces in `environment`; alone where it announces none."""
    local_rank = int(environment.get("LOCAL_RANK", "0"))
    chosen = choose_device(device, local_rank)
    if "RANK" not in environment:
        yield World(device=chosen)
        return
    backend = "gloo"
    if chosen.startswith("cuda"):
        torch.cuda.set_device(chosen)
        backend = "nccl"
    dist.init_process_group(backend, timeout=TIMEOUT)
    try:
        yield World(device=chosen, rank=dist.get_rank(), size=dist.get_world_size(), local_rank=local_rank)
    finally:
        dist.destroy_process_group()


def all_reduce_mean(world: World, tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over the processes, all in one flattened exchange."""
    if world.size == 1:
        return
    listed = list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in listed])
    dist.all_reduce(flat)
    flat /= world.size
    for tensor, part in zip(listed, torch.split(flat, [tensor.numel() for tensor in listed]), strict=True):
        tensor.copy_(part.view_as(tensor))


def any_process(world: World, flag: bool) -> bool:
    """Whether `flag` is true on at least one process: all of them learn it at the same point."""
    if world.size == 1:
        return flag
    count = torch.tensor([float(flag)], device=world.device)
    dist.all_reduce(count)
    return bool(count.item() > 0)


def barrier(world: World) -> None:
    """Wait until every process has come here."""
    if world.size > 1:
        dist.barrier()
