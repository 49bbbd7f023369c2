"""Several processes as one: torchrun's process group, gloo on CPUs and nccl on GPUs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor
from torch import distributed as dist

from mura_jobs.errors import ConfigError, MuraError
from mura_jobs.job.world import World

TIMEOUT = timedelta(minutes=10)
"""How long a collective waits for a process that has gone before it fails."""


class ProcessLost(MuraError):
    """An exchange between the processes failed, most often because one of them has ended."""


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
    if chosen.startswith("cuda"):
        torch.cuda.set_device(chosen)
        # TF32, whose products are as fast as bfloat16's and whose range is float32's
        torch.set_float32_matmul_precision("high")
    if "RANK" not in environment:
        yield World(device=chosen)
        return
    dist.init_process_group("nccl" if chosen.startswith("cuda") else "gloo", timeout=TIMEOUT)
    world = World(device=chosen, rank=dist.get_rank(), size=dist.get_world_size(), local_rank=local_rank)
    try:
        require_exchange(world, numbers=1)
        yield world
    finally:
        dist.destroy_process_group()


def require_exchange(world: World, numbers: int) -> None:
    """Prove that sums over all processes are right, with so many float32 numbers.

    Raises:
        MuraError: a sum is wrong.
        ProcessLost: there is no exchange at all.
    """
    values = torch.full((numbers,), float(world.rank + 1), device=world.device)
    with _exchange(world):
        dist.all_reduce(values)
    lowest, highest = values.aminmax()
    expected = world.size * (world.size + 1) / 2
    if not lowest == highest == expected:
        raise MuraError(
            f"all-reduce over {dist.get_backend()} between {world.size} processes gave {lowest:g} to "
            f"{highest:g}, expected {expected:g}; check the network of the nodes"
        )


@contextmanager
def _exchange(world: World) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost(
            f"process {world.rank} of {world.size} lost the others: one has ended or can't be reached, and "
            f"says why if it could; started again, training continues from the last checkpoint ({error})"
        ) from None


def all_reduce_mean(world: World, tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over the processes, all in one flattened exchange."""
    if world.size == 1:
        return
    listed = list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in listed])
    with _exchange(world):
        dist.all_reduce(flat)
    flat /= world.size
    for tensor, part in zip(listed, torch.split(flat, [tensor.numel() for tensor in listed]), strict=True):
        tensor.copy_(part.view_as(tensor))


def gather_shares(world: World, share: Tensor, count: int) -> Tensor:
    """All rows, in order, on every process.

    Args:
        world: the processes.
        share: this process's rows, `world.share(count)` of them.
        count: rows of all processes together.
    """
    if world.size == 1:
        return share
    rows = share.new_zeros(count, *share.shape[1:], device=world.device)
    rows[world.share(count)] = share.to(world.device)
    with _exchange(world):
        dist.all_reduce(rows)
    return rows.to(share.device)


def from_main(world: World, values: Sequence[float]) -> list[float]:
    """The main process's values, on every process; the others give as many, of which nothing is made."""
    if world.size == 1:
        return list(values)
    sent = torch.tensor(values, dtype=torch.float64, device=world.device)
    with _exchange(world):
        dist.broadcast(sent, src=0)
    received: list[float] = sent.tolist()
    return received


def any_process(world: World, flag: bool) -> bool:
    """Whether `flag` is true on at least one process: all of them learn it at the same point."""
    if world.size == 1:
        return flag
    count = torch.tensor([float(flag)], device=world.device)
    with _exchange(world):
        dist.all_reduce(count)
    return bool(count.item() > 0)


def barrier(world: World) -> None:
    """Wait until every process has come here."""
    if world.size > 1:
        with _exchange(world):
            dist.barrier()
