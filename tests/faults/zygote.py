"""A process that has imported everything and starts stages by forking.

`python -m tests.faults.zygote` reads orders, one JSON object a line: `words` of the command line, the path of
a `log`, variables for the `environment`, and `patches`, values by "module:NAME". For each it starts a process
that does what the command line would, and answers {"pid": n} at once and {"pid": n, "code": c} when that has
ended, c negative for a signal. So a stage begins in milliseconds, in a process of its own that can be killed.
"""

from datetime import datetime, timedelta, tzinfo
from importlib import import_module
import json
import os
import select
import signal
import sys
import time
from types import SimpleNamespace
from typing import Any, Self

PRELOADED = (
    "mura_jobs.bucket.s3",
    "mura_jobs.cli",
    "mura_jobs.radiographs.phantom.phantom",
    "mura_jobs.radiographs.preprocess",
    "mura_jobs.gan.train",
    "mura_jobs.synthetic.synthesize",
    "mura_jobs.classifier.train",
    "mura_jobs.report.report",
    "scipy.stats",
    "sklearn.metrics",
    "torchvision.models",
)


def main() -> None:
    """Serve until the input ends."""
    for module in PRELOADED:
        import_module(module)
    answer({"ready": True})
    unread, running, open_ = b"", 0, True
    while open_ or running:
        if open_ and select.select([0], [], [], 0.005)[0]:
            read = os.read(0, 1 << 16)
            open_ = bool(read)
            *lines, unread = (unread + read).split(b"\n")
            for line in lines:
                running += 1
                answer({"pid": start(json.loads(line))})
        while running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            running -= 1
            answer({"pid": pid, "code": os.waitstatus_to_exitcode(status)})


def answer(line: dict[str, Any]) -> None:
    """Say one line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def shift_clock(seconds: float) -> None:
    """Have this process's clock so many seconds ahead, for our own code and for what signs requests."""
    true = time.time

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(seconds=seconds)

    time.time = lambda: true() + seconds
    for name in [name for name in sys.modules if name.startswith("mura_jobs.")]:
        if getattr(sys.modules[name], "datetime", None) is datetime:
            sys.modules[name].datetime = Shifted  # type: ignore[attr-defined]
    compat: Any = import_module("botocore.compat")
    compat.datetime = SimpleNamespace(**vars(compat.datetime) | {"datetime": Shifted})  # a module


def start(order: dict[str, Any]) -> int:
    """Fork a process that does what is ordered, and return its id."""
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDWR)
    for source, target in ((null, 0), (null, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(order.get("environment", {}))
    code = 1
    try:
        for name, value in order.get("patches", {}).items():
            module, _, attribute = name.partition(":")
            setattr(import_module(module), attribute, value)
        if order["clock"]:
            shift_clock(order["clock"])
        from mura_jobs.cli import main as command

        code = command(order["words"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 2
    except BaseException:  # noqa: BLE001 - as the interpreter would at its end
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        from multiprocessing import util

        util._exit_function()  # type: ignore[attr-defined]
        os._exit(code)


if __name__ == "__main__":
    main()
