"""Too little disk or memory: an error with figures, nothing half, and a rerun that completes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
import signal
import subprocess
import sys

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from tests.faults.attempts import SMALL, STRUCK, Whole, Zygote, published, unlisted, words
from tests.faults.cgroup import memory_group
from tests.faults.counts import tally
from tests.pipeline.runs import results

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

FETCHING = [place for place in STRUCK if place != "raw/phantom"]
"""Stages that use their scratch folder; `phantom` only has one."""
TINY_BYTES = 16 << 10
LIMIT = 250 << 20
"""Enough for the process that starts stages, too little for one that imports torch."""


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory at a new folder; skips the test where none can be mounted."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def require_completes(place: str, bucket: Bucket, zygote: Zygote, whole: Whole) -> None:
    """Run again as it should be: the same bytes."""
    attempt = zygote.start(words(place, bucket.url))
    assert attempt.code() == 0, attempt.text
    assert published(bucket, place) == whole.objects[place]
    assert unlisted(bucket, place) == []


@pytest.mark.parametrize("place", FETCHING)
def test_a_full_scratch_folder_says_what_is_needed_and_what_is_free(
    place: str, zygote: Zygote, whole: Whole, new_folder: Callable[[str], Bucket], tmp_path: Path
) -> None:
    """Exit code 1: another node may have room."""
    bucket = new_folder(place)
    with (
        tally(f"{place}: scratch of {TINY_BYTES >> 10} KiB") as outcomes,
        mounted(tmp_path / "scratch", f"size={TINY_BYTES}") as scratch,
    ):
        attempt = zygote.start(words(place, bucket.url, "--scratch", str(scratch)))
        assert attempt.code() == 1, attempt.text
        error = attempt.events[-1]["error"]
        assert "bytes" in error
        assert "free" in error
        assert "larger volume" in error
        assert "Traceback" not in attempt.text
        assert published(bucket, place) is None
        assert list(scratch.iterdir()) == []
        outcomes["named error with figures, exit 1"] += 1
        require_completes(place, bucket, zygote, whole)
        outcomes["complete with the same bytes when run with room"] += 1


@pytest.mark.parametrize("place", STRUCK)
def test_a_scratch_folder_that_can_only_be_read_is_a_wrong_configuration(
    place: str, zygote: Zygote, whole: Whole, new_folder: Callable[[str], Bucket], tmp_path: Path
) -> None:
    bucket = new_folder(place)
    with tally(f"{place}: scratch read-only") as outcomes, mounted(tmp_path / "scratch", "ro") as scratch:
        attempt = zygote.start(words(place, bucket.url, "--scratch", str(scratch)))
        assert attempt.code() == 64, attempt.text
        assert "scratch: temporary files can't be written to" in attempt.text
        assert "Traceback" not in attempt.text
        assert published(bucket, place) is None
        outcomes["named error, exit 64"] += 1
        require_completes(place, bucket, zygote, whole)
        outcomes["complete with the same bytes when run with a writable one"] += 1


@pytest.mark.parametrize("place", STRUCK)
def test_a_pods_usual_64_mib_of_shared_memory_are_enough(
    place: str, whole: Whole, tmp_path: Path, new_folder: Callable[[str], Bucket]
) -> None:
    """For every stage in one process, those with workers too: nothing but semaphores lies there."""
    bucket = new_folder(place)
    tmp_path.joinpath("bucket").mkdir()
    mount = "mount -t tmpfs -o size=64m tmpfs /dev/shm && exec"
    hidden = bucket.url.startswith("file:///dev/shm")
    folder = bucket.url.removeprefix("file://")
    # the mount would hide a bucket that lies below it
    bind = f"mount --bind {folder} {tmp_path}/bucket && " if hidden else ""
    url = (tmp_path / "bucket").as_uri() if hidden else bucket.url
    command = [sys.executable, "-m", "mura_jobs", *words(place, url)]
    with tally(f"{place}: /dev/shm of 64 MiB") as outcomes:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", f'{bind}{mount} "$@"', "sh", *command],
            check=False,
            capture_output=True,
            text=True,
        )
        if "unshare: " in done.stderr:
            pytest.skip(f"no mounts of its own here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        assert published(bucket, place) == whole.objects[place]
        outcomes["complete with the same bytes"] += 1


def test_a_run_that_memory_is_too_little_for_gives_the_figures_and_completes_with_more(
    zygote: Zygote, whole: Whole, tmp_path: Path
) -> None:
    """The kernel kills a stage, for which the run speaks, or a stage's worker, for which the stage does."""
    folder = tmp_path / "bucket"
    folder.mkdir()
    words = ["run", "--bucket", folder.as_uri(), "--run-id", "r", "--config", str(SMALL), "--log", "json"]
    words += ["--threads", "1"]  # as many as in the undisturbed run: sums in several threads differ
    command = [sys.executable, "-m", "mura_jobs", *words]
    with tally(f"run: memory limit of {LIMIT >> 20} MiB") as outcomes, memory_group() as group:
        assert group.limit(LIMIT)
        done = subprocess.run(
            ["sh", "-c", f'echo $$ > {group.folder}/cgroup.procs && exec "$@"', "sh", *command],
            check=False,
            capture_output=True,
            text=True,
        )
        assert group.kills
        assert f"for lack of memory (the limit is {LIMIT >> 20} MiB, this process took" in done.stderr
        worker = "a worker process was killed" in done.stderr
        assert done.returncode == (1 if worker else 128 + signal.SIGKILL), done.stderr
        outcomes[f"named error with figures, exit {done.returncode}"] += 1
        again = zygote.start(words)
        assert again.code() == 0, again.text
        assert results(open_bucket(folder.as_uri())) == results(whole.bucket)
        outcomes["complete with the same results when run with more"] += 1
