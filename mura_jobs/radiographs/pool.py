"""All cores of this machine on one stream of work."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
import multiprocessing
import os
from pathlib import Path
import select
import threading
from typing import TypeVar

import cv2

from mura_jobs.errors import MuraError
from mura_jobs.job.memory import memory_facts

T = TypeVar("T")
R = TypeVar("R")

FEW = 24
"""Up to so many items are done right here: starting processes takes longer."""

FLIGHT_BYTES = 1 << 27
"""Items being worked on have no more bytes than this together, or are one item."""

WORK = [
    "mura_jobs.radiographs.cleaning.file",
    "mura_jobs.radiographs.phantom.draw",
    "mura_jobs.radiographs.dicom",
]
"""Modules that the processes need, imported once for all of them."""


def cores() -> int:
    """Cores this process may use, a container's CPU limit counted."""
    allowed = len(os.sched_getaffinity(0))
    limit = Path("/sys/fs/cgroup/cpu.max")
    if limit.exists():
        quota, period = limit.read_text().split()
        if quota != "max":
            return max(min(allowed, round(int(quota) / int(period))), 1)
    return allowed


def parallel_map(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    ahead: int = 4,
    size: Callable[[T], int] = lambda _: 0,
) -> Iterator[R]:
    """`function` of each item, in order, computed in one process per core.

    At most `ahead` items per core are in flight, and no more bytes than `FLIGHT_BYTES` or one item, so memory
    does not grow with the number of items. The iterable is drawn from in this process while the others
    compute. An exception of `function` is raised here.

    Args:
        function: a module's top-level function; arguments and results travel between processes.
        items: what to map over.
        ahead: items per core that may be waiting or done but not yet taken.
        size: an item's size in bytes.

    Raises:
        MuraError: a process was killed, as happens when memory runs out.
    """
    stream = iter(items)
    few = list(islice(stream, FEW + 1))
    workers = cores()
    if len(few) <= FEW or workers == 1:
        _one_thread()
        yield from map(function, few)
        yield from map(function, stream)
        return
    # Forking this process could deadlock, since the bucket's transfers run threads; the server has none.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(WORK)
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(os.getpid(),)
    ) as pool:
        waiting: deque[tuple[Future[R], int]] = deque()
        flying = 0
        try:
            for item in chain(few, stream):
                waiting.append((pool.submit(function, item), size(item)))
                flying += waiting[-1][1]
                del item  # or it would be held until the next one comes
                while len(waiting) >= ahead * workers or (waiting and flying > FLIGHT_BYTES):
                    done, weight = waiting.popleft()
                    flying -= weight
                    yield done.result()
            while waiting:
                yield waiting.popleft()[0].result()
        except BrokenProcessPool:
            pool.shutdown(wait=True, cancel_futures=True)
            raise MuraError(
                f"a worker process was killed, most likely for lack of memory ({memory_facts()}); {workers} "
                "were at work; give them more memory, or fewer cores"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(parent: int) -> None:
    """Prepare a worker of `parent`."""
    _one_thread()
    if hasattr(os, "pidfd_open"):
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when `parent` has ended; where that was killed it would else wait for ever."""
    try:
        ended = select.poll()
        ended.register(os.pidfd_open(parent), select.POLLIN)
        ended.poll()
    except ProcessLookupError:
        pass
    os._exit(1)


def _one_thread() -> None:
    """One process per core is enough; and sums in several threads would differ from those in one."""
    cv2.setNumThreads(1)
