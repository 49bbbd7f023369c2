from collections.abc import Iterator
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

from mura_jobs.errors import MuraError
from mura_jobs.radiographs import pool
from mura_jobs.radiographs.pool import FEW, cores, parallel_map


def square(number: int) -> int:
    return number**2


def process(_: int) -> int:
    return os.getpid()


def die_at_thirty(number: int) -> int:
    if number == 30:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail_at_thirty(number: int) -> int:
    if number == 30:
        raise ValueError("thirty")
    return number


@pytest.mark.parametrize("items", [0, 1, FEW, FEW + 1, 100])
def test_results_come_in_order(items: int) -> None:
    assert list(parallel_map(square, range(items))) == [number**2 for number in range(items)]


@pytest.mark.skipif(cores() == 1, reason="needs two cores")
def test_much_work_is_done_elsewhere() -> None:
    assert os.getpid() not in set(parallel_map(process, range(100)))


def test_an_error_comes_out_where_the_results_do() -> None:
    results = parallel_map(fail_at_thirty, range(60))
    with pytest.raises(ValueError, match="thirty"):
        list(results)


def test_items_are_drawn_only_a_little_ahead() -> None:
    """Memory stays bounded: work that no one takes holds back the items behind it."""
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(10_000):
            drawn += 1
            yield number

    results = parallel_map(square, items(), ahead=2)
    assert next(results) == 0
    assert drawn <= FEW + 1 + 2 * cores() + 1
    results.close()  # type: ignore[attr-defined] # it is a generator


@pytest.mark.skipif(cores() == 1, reason="needs two cores")
def test_a_killed_process_is_an_error_that_says_so() -> None:
    with pytest.raises(MuraError, match=r"worker process was killed.* MiB and the largest .* MiB"):
        list(parallel_map(die_at_thirty, range(60)))


@pytest.mark.skipif(cores() == 1, reason="needs two cores")
def test_large_items_are_in_flight_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "FLIGHT_BYTES", 10)
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(100):
            drawn += 1
            yield number

    results = parallel_map(square, items(), size=lambda _: 11)
    assert next(results) == 0
    assert drawn <= FEW + 2
    assert list(results) == [number**2 for number in range(1, 100)]


WORK = """
import os, sys
from mura_jobs.radiographs.pool import parallel_map
from tests.radiographs.test_pool import process
if __name__ == "__main__":
    for pid in parallel_map(process, range(10_000_000)):
        if pid != os.getpid():
            print(pid, flush=True)
            sys.stdin.read()
"""


@pytest.mark.skipif(cores() == 1, reason="needs two cores")
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_workers_end_with_the_process_that_they_work_for(tmp_path: Path) -> None:
    """However that ended: they would hold their memory for as long as the machine runs."""
    script = tmp_path / "work.py"
    script.write_text(WORK)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process_:
        assert process_.stdout is not None
        worker = Path("/proc", process_.stdout.readline().strip())
        assert worker.exists()
        process_.kill()
    deadline = time.monotonic() + 30
    while worker.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
