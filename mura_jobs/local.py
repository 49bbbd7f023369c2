"""A whole run on this machine: every stage instance is a process, several at a time where they can be."""

from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
import ctypes
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import Annotated, Any

from pydantic import Field

from mura_jobs.errors import MuraError
from mura_jobs.job.display import Display, display_of
from mura_jobs.job.memory import memory_facts
from mura_jobs.job.scratch import scratch_folder
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.stage import JobOptions
from mura_jobs.stages import Instance, RunConfig, plan

PR_SET_PDEATHSIG = 1
KILLED = 128 + signal.SIGKILL
"""Exit code of a process that was killed, as the kernel does where memory runs out."""


class RunOptions(JobOptions):
    """How and where a whole run runs. None of it changes the result."""

    workers: Annotated[int, Field(ge=1)] = 1
    """Stage instances that run at the same time (labels, arms and seeds can), each in a process of its own.
    They share the cores."""


class StageFailed(MuraError):
    """A stage's process failed; its exit code is ours."""

    def __init__(self, place: str, exit_code: int) -> None:
        why = "the lines above say why"
        if exit_code == KILLED:
            why = f"it was killed, most likely for lack of memory ({memory_facts()}); give it more"
        super().__init__(f"{place} failed with exit code {exit_code}; {why}")
        self.exit_code = exit_code


def run(config: RunConfig, options: RunOptions, shutdown: Shutdown) -> None:
    """Run every stage instance to its published output, in the order of their needs.

    Raises:
        StageFailed: an instance failed. The others were asked to stop, and did so after a checkpoint.
        Stopped: SIGTERM came.
    """
    pending = plan(config)
    raw = {instance.place for instance in pending if instance.stage.raw}
    done: set[str] = set()
    processes: list[subprocess.Popen[str]] = []
    display = display_of(options.log)
    with _config_file(config, options) as file, ThreadPoolExecutor(options.workers) as pool:
        running: dict[Future[int], Instance] = {}
        try:
            while pending or running:
                ready = [instance for instance in pending if _is_ready(instance, raw, done)]
                for instance in ready[: options.workers - len(running)]:
                    pending.remove(instance)
                    process = subprocess.Popen(  # noqa: S603 - our own program
                        _command(instance, options, file),
                        stderr=subprocess.PIPE,
                        stdin=subprocess.DEVNULL,
                        text=True,
                        preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no threads' locks
                    )
                    processes.append(process)
                    running[pool.submit(_watch, process, instance, display)] = instance
                finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in finished:
                    place = running.pop(future).place
                    if future.result():
                        raise StageFailed(place, future.result())
                    done.add(place)
                shutdown.check()
        finally:
            for process in processes:
                process.terminate()
            display.close()


def _is_ready(instance: Instance, raw: set[str], done: set[str]) -> bool:
    """Whether everything it reads is published; raw radiographs that the run generates come first."""
    needs = set(instance.stage.needs(instance.config))
    return (needs if instance.stage.raw else needs | raw) <= done


def _command(instance: Instance, options: RunOptions, file: Path) -> list[str]:
    """The command line of one stage, as it could be given by hand."""
    given = options.model_dump(exclude={"workers", "log"}, exclude_defaults=True)
    given.setdefault("threads", max(1, (os.cpu_count() or 1) // options.workers))
    given |= {"config": file, "log": "json", **instance.which}
    flags = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", _word(value))]
    return [sys.executable, "-m", "mura_jobs", instance.stage.name, *flags]


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _watch(process: subprocess.Popen[str], instance: Instance, display: Display) -> int:
    """Show what the process says until it ends; returns its exit code."""
    assert process.stderr is not None
    for line in process.stderr:
        event = _event(line)
        if event is None:
            display.text(instance.place, line.rstrip("\n"))
        else:
            display.event(event)
    code = process.wait()
    # A shell's convention for a process that a signal ended
    return 128 - code if code < 0 else code


def _event(line: str) -> Mapping[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if "event" in event else None


@contextmanager
def _config_file(config: RunConfig, options: RunOptions) -> Iterator[Path]:
    with scratch_folder(options.scratch) as folder:
        file = folder / "run.yaml"
        file.write_text(json.dumps(config.plain()), "utf-8")  # JSON is YAML
        yield file


def _die_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent is gone, however that came about."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
