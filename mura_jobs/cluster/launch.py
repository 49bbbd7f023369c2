"""Start a stage in several processes, and end with the exit code that they ended with.

`python -m mura_jobs.cluster.launch --processes 8 -- train-gan --label positive …` is torchrun for mura-jobs.
torchrun itself exits with 1 whenever a process fails, which hides from Kubernetes whether to try again.
"""

from collections.abc import Collection, Sequence
import hashlib
import socket
import sys
import time

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig as TorchConfig
from torch.distributed.launcher.api import launch_agent

from mura_jobs.cluster.config import LaunchConfig
from mura_jobs.errors import ConfigError, InputError, MuraError
from mura_jobs.job.flags import Parser, add_flags, given

FINAL = (ConfigError.exit_code, InputError.exit_code)
PORTS = range(20000, 30000)


def main(arguments: Sequence[str]) -> int:
    """Read the launcher's flags up to `--`, and run `mura-jobs` with what is behind."""
    try:
        if "--" not in arguments:
            raise ConfigError("launch: put the stage and its flags behind `--`")
        end = list(arguments).index("--")
        parser = Parser(prog="launch", allow_abbrev=False)
        add_flags(parser, LaunchConfig, "processes")
        config = LaunchConfig.parse(given(parser.parse_args(arguments[:end]), LaunchConfig))
        return launch(config, arguments[end + 1 :])
    except MuraError as error:
        _say(str(error))
        return error.exit_code


def launch(config: LaunchConfig, command: Sequence[str], program: Sequence[str] = ("-m", "mura_jobs")) -> int:
    """Run Python's `program` with `command` in every process of this node; return one exit code for all.

    Raises:
        ConfigError: there is no such node.
        MuraError: the name of node 0 is still unknown when all nodes should have met.
    """
    if config.node >= config.nodes:
        raise ConfigError(f"node: {config.node} must be below nodes: {config.nodes}")
    if config.nodes > 1:
        _wait_for_name(config.main_host, config.meet_seconds)
    try:
        launch_agent(_torch_config(config), sys.executable, [*program, *command])
    except ChildFailedError as error:
        failures = {rank: failure.exitcode for rank, failure in error.failures.items()}
        _say("; ".join(f"process {rank} ended with {code}" for rank, code in sorted(failures.items())))
        return exit_code(failures.values())
    except SignalException as signal:
        # the processes were told, and had stop_seconds to write their checkpoint
        return 128 + signal.sigval
    return 0


def exit_code(codes: Collection[int]) -> int:
    """The one code that says most: what must not be retried, else the first of them.

    A process that a signal ended counts as shells count it (-9 is 137). When one process fails the others are
    ended too, so that theirs may be consequences only.
    """
    final = next((code for code in FINAL if code in codes), None)
    first = next(iter(codes))
    return final if final is not None else first if first > 0 else 128 - first


def meeting_port(config: LaunchConfig) -> int:
    """The port on node 0, on which all nodes agree without a word.

    It lies below those that Linux and Kubernetes give away themselves (32768 and 30000 on).
    """
    if config.main_port is not None:
        return config.main_port
    name = hashlib.sha256(config.main_host.encode()).digest()
    return PORTS[int.from_bytes(name, "big") % len(PORTS)]


def _torch_config(config: LaunchConfig) -> TorchConfig:
    several = config.nodes > 1
    return TorchConfig(
        min_nodes=config.nodes,
        max_nodes=config.nodes,
        nproc_per_node=config.processes,
        run_id="mura-jobs",
        # alone, any free port will do; several nodes must know one beforehand
        rdzv_backend="static" if several else "c10d",
        rdzv_endpoint=f"{config.main_host}:{meeting_port(config) if several else 0}",
        rdzv_configs={"rank": config.node, "timeout": config.meet_seconds},
        local_addr=None if several else "localhost",
        max_restarts=0,
        shutdown_timeout=config.stop_seconds,
    )


def _wait_for_name(host: str, seconds: int) -> None:
    """Wait until a name is known: that of a pod is when the pod has an address."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.getaddrinfo(host, None)
        except OSError as error:
            if time.monotonic() > deadline:
                raise MuraError(
                    f"{host}: unknown after {seconds} s ({error}); node 0 never started, or its Service is "
                    "missing"
                ) from None
            time.sleep(1)
        else:
            return


def _say(text: str) -> None:
    print(f"mura-jobs launch: {text}", file=sys.stderr, flush=True)  # noqa: T201 - a pod's log


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
