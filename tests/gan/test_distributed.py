from collections.abc import Iterator
import os
from pathlib import Path
import shutil
import socket
import subprocess
import sys
from time import monotonic

import pytest
import safetensors.torch
from torch import Tensor

ROOT = Path(__file__).parents[2]

NODES = 2
PROCESSES = 2


def launched(path: Path, *flags: str) -> list[str]:
    """The command that starts `worker` in several processes of a node."""
    program = (
        "import sys\n"
        "from mura_jobs.cluster.config import LaunchConfig\n"
        "from mura_jobs.cluster.launch import launch\n"
        "from mura_jobs.job.flags import Parser, add_flags, given\n"
        "parser = Parser()\n"
        "add_flags(parser, LaunchConfig, '')\n"
        "config = LaunchConfig.parse(given(parser.parse_args(sys.argv[2:]), LaunchConfig))\n"
        "sys.exit(launch(config, [sys.argv[1]], ['-m', 'tests.gan.worker']))\n"
    )
    return [sys.executable, "-c", program, str(path), *flags]


def trained(path: Path, processes: int, **variables: str) -> dict[str, Tensor]:
    command = (
        [sys.executable, "-m", "tests.gan.worker", str(path)]
        if processes == 1
        else launched(path, "--processes", str(processes))
    )
    environment = os.environ | variables
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300, env=environment)
    return safetensors.torch.load_file(path)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    return trained(tmp_path_factory.mktemp("alone") / "state.safetensors", 1)


def require_same_training(alone: dict[str, Tensor], together: dict[str, Tensor]) -> None:
    """Only the order of sums differs.

    Adam divides by the root of the second moment, which magnifies that difference where gradients are near
    zero. Losses, pictures and distances agree to 1e-4 of their value (pictures and what is measured of them
    to 1e-2), weights to a hundredth of the way they could have moved.
    """
    assert together.keys() == alone.keys()
    way = 5 * 0.0025
    for name, tensor in alone.items():
        difference = (together[name] - tensor).abs()
        if name.startswith(("G.", "G_ema.", "D.")):
            scale = way * (100 if "mapping.fc" in name and name.endswith("weight") else 1)
            assert difference.max().item() <= 0.01 * scale, name
        elif not name.startswith("adam"):
            tolerance = 1e-2 if name.startswith("seen.") else 1e-4
            assert difference.max().item() <= tolerance * max(1.0, tensor.abs().max().item()), name


def test_two_processes_train_as_one_with_the_same_world_batch(
    tmp_path: Path, alone: dict[str, Tensor]
) -> None:
    """They draw the same numbers and see the same images. Grids and distances are shared out as well."""
    require_same_training(alone, trained(tmp_path / "state.safetensors", 2))


def test_two_processes_train_a_conditional_generator_as_one(tmp_path: Path) -> None:
    """Each process tells the networks the labels of its own rows, in the regularisers as well."""
    alone, together = (
        trained(tmp_path / f"{processes}.safetensors", processes, CONDITIONAL="1") for processes in (1, 2)
    )
    assert "D.mapping.embed.weight" in alone
    require_same_training(alone, together)


def test_a_process_that_dies_ends_all_with_a_code_to_retry(tmp_path: Path) -> None:
    """Nobody waits for the exchange's time-out."""
    begin = monotonic()
    done = subprocess.run(
        launched(tmp_path / "state.safetensors", "--processes", "2"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"DIE": "1"},
        check=False,
    )
    assert done.returncode == 128 + 9
    assert "process 1 ended with -9" in done.stderr
    assert monotonic() - begin < 120, "gloo's own time-out is 10 minutes"


def test_a_process_says_that_it_lost_another(tmp_path: Path) -> None:
    """Without a launcher, which may end it before it can."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "DIE": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.gan.worker", str(tmp_path / "state.safetensors")],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    (_, said), _ = (process.communicate(timeout=300) for process in started)
    assert [process.returncode for process in started] == [1, -9]
    assert "process 0 of 2 lost the others" in said


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two network namespaces with a cable between them."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    names = [f"mura-{os.getpid()}-{number}" for number in range(NODES)]
    cable = [f"veth{os.getpid() % 100000}{end}" for end in "ab"]
    try:
        run("ip", "link", "add", cable[0], "type", "veth", "peer", "name", cable[1])
        for number, (name, end) in enumerate(zip(names, cable, strict=True)):
            run("ip", "netns", "add", name)
            run("ip", "link", "set", end, "netns", name)
            inside(name, "ip", "link", "set", end, "name", "cable")
            inside(name, "ip", "address", "add", f"10.77.0.{number + 1}/24", "dev", "cable")
            for device in ("cable", "lo"):
                inside(name, "ip", "link", "set", device, "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def inside(name: str, *command: str) -> None:
    run("ip", "netns", "exec", name, *command)


@pytest.mark.slow
def test_two_hosts_of_two_processes_train_as_one(
    tmp_path: Path, alone: dict[str, Tensor], hosts: list[str]
) -> None:
    """Over a network: each host has a namespace of its own, and they meet at the first one's address."""
    path = tmp_path / "state.safetensors"
    flags = ["--processes", str(PROCESSES), "--nodes", str(NODES), "--main-host", "10.77.0.1"]
    started = [
        subprocess.Popen(
            ["ip", "netns", "exec", name, *launched(path, *flags, "--node", str(number))],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"GLOO_SOCKET_IFNAME": "cable"},
        )
        for number, name in enumerate(hosts)
    ]
    for host in started:
        _, errors = host.communicate(timeout=300)
        assert host.returncode == 0, errors
    require_same_training(alone, safetensors.torch.load_file(path))
