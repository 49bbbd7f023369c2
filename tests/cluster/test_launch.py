"""The launcher ends as its processes did; torchrun would always end with 1."""

import json
from pathlib import Path
import signal
import socket
import subprocess
import sys
import time

import pytest

from mura_jobs.cluster.config import LaunchConfig
from mura_jobs.cluster.launch import exit_code, launch, main, meeting_port
from mura_jobs.errors import ConfigError

PROGRAM = """
import os, signal, sys, time
from pathlib import Path

rank, kind, folder = int(os.environ["RANK"]), sys.argv[1], Path(sys.argv[2])

def stop(*_):
    time.sleep(0.5)  # writes its checkpoint
    (folder / f"stopped-{rank}").touch()
    sys.exit(143)

signal.signal(signal.SIGTERM, stop)
(folder / f"began-{rank}").write_text(os.environ["WORLD_SIZE"] + os.environ["LOCAL_RANK"])
while not (folder / "began-0").exists():
    time.sleep(0.05)  # the first one may begin later, and is ended with the others
if kind == "wait" or (kind.isdigit() and rank == 0):
    time.sleep(60)
if kind == "kill" and rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(kind) if kind.isdigit() else 0)
"""

RUN = """
import json, sys
from mura_jobs.cluster.config import LaunchConfig
from mura_jobs.cluster.launch import launch
config = LaunchConfig.parse({"processes": 2, "stop_seconds": 20} | json.loads(sys.argv[1]))
sys.exit(launch(config, sys.argv[3:], [sys.argv[2]]))
"""


def start(tmp_path: Path, kind: str, **config: object) -> subprocess.Popen[bytes]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps(config), str(program), kind, str(tmp_path)]
    )


@pytest.mark.parametrize(("kind", "code"), [("0", 0), ("64", 64), ("kill", 137)])
def test_it_ends_as_the_processes_did(tmp_path: Path, kind: str, code: int) -> None:
    """One of two processes fails, and the other, which would run on, is ended with it."""
    if kind == "0":
        kind = "end"
    assert start(tmp_path, kind).wait(timeout=120) == code
    assert sorted(path.read_text() for path in tmp_path.glob("began-*")) == ["20", "21"]


def test_nodes_meet_at_the_first_one(tmp_path: Path) -> None:
    """Two launchers of two processes each make one world of four; what ends on one node ends both."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nodes = [start(tmp_path, "end", nodes=2, node=node, main_port=port) for node in (1, 0)]
    assert [node.wait(timeout=120) for node in nodes] == [0, 0]
    assert sorted(path.read_text() for path in tmp_path.glob("began-*")) == ["40", "40", "41", "41"]


def test_trainings_of_one_host_meet_at_ports_of_their_own() -> None:
    """With the node's network, two trainings whose first nodes share a host can't share a port."""
    hosts = [f"mura-train-gan-{label}-0.mura-train-gan-{label}" for label in ("positive", "negative")]
    ports = {
        host: {meeting_port(LaunchConfig(nodes=2, node=node, main_host=host)) for node in (0, 1)}
        for host in hosts
    }
    assert all(len(found) == 1 for found in ports.values())
    assert ports[hosts[0]] != ports[hosts[1]]
    assert all(20000 <= port < 30000 for found in ports.values() for port in found)
    assert meeting_port(LaunchConfig(nodes=2, main_port=1234)) == 1234


def test_sigterm_reaches_all_processes_and_waits_for_their_checkpoints(tmp_path: Path) -> None:
    launcher = start(tmp_path, "wait")
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("began-*"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(timeout=60) == 143
    assert len(list(tmp_path.glob("stopped-*"))) == 2


def test_what_must_not_be_retried_outweighs_consequences() -> None:
    assert exit_code([1, -15, 64]) == 64
    assert exit_code([143, 65]) == 65
    assert exit_code([-9, 1]) == 137
    assert exit_code([3]) == 3


def test_a_stage_that_refuses_its_configuration_ends_with_64() -> None:
    """Through the real command line."""
    assert main(["--processes=2", "--", "preprocess", "--no-such-flag"]) == ConfigError.exit_code


def test_wrong_flags_are_a_wrong_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--processes=2", "report"]) == ConfigError.exit_code
    assert "behind `--`" in capsys.readouterr().err
    assert main(["--processes=0", "--", "report"]) == ConfigError.exit_code
    with pytest.raises(ConfigError, match="must be below nodes"):
        launch(LaunchConfig(nodes=2, node=2), [])


def test_a_host_that_never_appears_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--nodes=2", "--node=1", "--main-host=no-such-host.invalid", "--meet-seconds=1"]
    assert main([*flags, "--", "report"]) == 1
    assert "no-such-host.invalid: unknown after 1 s" in capsys.readouterr().err
