from pathlib import Path
import subprocess
import sys

import pytest
import torch

from mura_jobs.errors import ConfigError
from mura_jobs.job.distributed import all_reduce_mean, any_process, choose_device, world_of
from mura_jobs.job.world import World

PROGRAM = """
import os, sys, torch
from mura_jobs.job.distributed import all_reduce_mean, any_process, barrier, world_of
with world_of(os.environ, "cpu") as world:
    a, b = torch.full((2, 3), float(world.rank)), torch.tensor([10.0 * world.rank])
    all_reduce_mean(world, [a, b])
    barrier(world)
    flags = any_process(world, world.rank == 1), any_process(world, False)
    sys.stdout.write(f"{world.rank}/{world.size} {a.unique().tolist()} {b.tolist()} {flags}\\n")
"""


def test_processes_agree_on_means_and_flags(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3"]
    done = subprocess.run([*torchrun, str(program)], capture_output=True, text=True, check=True, timeout=120)
    assert sorted(done.stdout.splitlines()) == [f"{rank}/3 [1.0] [10.0] (True, False)" for rank in range(3)]


def test_a_process_alone_needs_no_group() -> None:
    with world_of({}, "cpu") as world:
        assert world == World()
        value = torch.tensor([1.5])
        all_reduce_mean(world, [value])
        assert value.item() == 1.5
        assert any_process(world, True)
    assert not torch.distributed.is_initialized()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="torch sees no GPU"):
        choose_device("cuda", 0)
    assert choose_device("auto", 0) == "cpu"
