"""What is special about a bucket in a folder."""

from collections.abc import Callable
import errno
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time

import pytest

from mura_jobs.bucket.base import BucketError, BucketUnsupported, InvalidKey, ObjectMissing
from mura_jobs.bucket.local import ABANDONED_SECONDS, PARTIAL, LocalBucket


@pytest.fixture
def bucket(tmp_path: Path) -> LocalBucket:
    return LocalBucket(tmp_path)


def keys(bucket: LocalBucket) -> list[str]:
    return [entry.key for entry in bucket.list()]


def test_a_killed_writer_leaves_no_object(bucket: LocalBucket) -> None:
    """What it had written so far is invisible, harms nobody, and is swept when it is old."""
    bucket.write("key", b"old")
    program = (
        "import sys, pathlib; from mura_jobs.bucket.local import LocalBucket\n"
        "bucket = LocalBucket(pathlib.Path(sys.argv[1]))\n"
        "bucket.upload(pathlib.Path('/dev/zero'), 'key')"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(bucket.folder)]) as writer:
        while not any((bucket.folder / PARTIAL).iterdir()):
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
    (left,) = (bucket.folder / PARTIAL).iterdir()
    assert keys(bucket) == ["key"]
    assert bucket.read("key") == b"old"
    LocalBucket(bucket.folder).write("key", b"new")
    assert left.exists()
    long_ago = time.time() - ABANDONED_SECONDS - 1
    os.utime(left, (long_ago, long_ago))
    LocalBucket(bucket.folder).write("key", b"newer")
    assert not any((bucket.folder / PARTIAL).iterdir())
    assert bucket.read("key") == b"newer"


def test_partial_files_are_no_objects(bucket: LocalBucket) -> None:
    bucket.write("key", b"1")
    for key in (PARTIAL, f"{PARTIAL}/x"):
        with pytest.raises(InvalidKey, match="being written"):
            bucket.write(key, b"2")
    bucket.write(f"{PARTIAL}x", b"3")
    bucket.write(f"sub/{PARTIAL}", b"4")
    assert keys(bucket) == [f"{PARTIAL}x", "key", f"sub/{PARTIAL}"]


def test_nothing_is_left_after_an_error(bucket: LocalBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that proves full when the bytes are synced: the old object stays, and the message says it."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    bucket.write("key", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BucketError, match=r"no room for key, [\d,]+ bytes are free"):
        bucket.write("key", b"new")
    assert not any((bucket.folder / PARTIAL).iterdir())
    assert bucket.read("key") == b"old"


def test_an_object_can_not_lie_below_another(bucket: LocalBucket) -> None:
    """S3 can hold "a" and "a/b"; a folder can't, and says so instead of losing one."""
    bucket.write("a", b"1")
    bucket.write("b/c", b"2")
    conflicts: list[Callable[[], object]] = [
        lambda: bucket.write("a/b", b""),
        lambda: bucket.create("a/b/c", b""),
        lambda: bucket.write("b", b""),
        lambda: bucket.create("b", b""),
    ]
    for conflict in conflicts:
        with pytest.raises(InvalidKey, match="can't have the same name"):
            conflict()
    assert keys(bucket) == ["a", "b/c"]


def test_deleting_removes_the_folders_that_are_empty_then(bucket: LocalBucket) -> None:
    bucket.write("a/b/c", b"1")
    bucket.write("a/d", b"2")
    bucket.delete(["a/b/c"])
    assert [path.name for path in (bucket.folder / "a").iterdir()] == ["d"]
    bucket.delete(["a/d"])
    assert not (bucket.folder / "a").exists()
    bucket.write("a", b"now a file")
    assert bucket.folder.exists()


def test_writing_into_a_folder_that_is_removed_at_the_same_time(bucket: LocalBucket) -> None:
    """Neither side fails, and what was written last is there."""
    stop = threading.Event()

    def delete() -> None:
        while not stop.is_set():
            bucket.delete(["a/b/c/other"])
            bucket.delete(["a/b/c/key"])

    thread = threading.Thread(target=delete)
    thread.start()
    try:
        for _ in range(30):
            bucket.write("a/b/c/key", b"1")
    finally:
        stop.set()
        thread.join()
    bucket.write("a/b/c/key", b"2")
    assert bucket.read("a/b/c/key") == b"2"


def test_links_are_followed_but_not_in_circles(
    bucket: LocalBucket, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A data set on another disk may be linked in."""
    elsewhere = tmp_path_factory.mktemp("disk")
    (elsewhere / "image.png").write_bytes(b"png")
    (bucket.folder / "raw").symlink_to(elsewhere)
    (bucket.folder / "dangling").symlink_to("nowhere")
    assert keys(bucket) == ["raw/image.png"]
    assert bucket.read("raw/image.png") == b"png"
    assert not bucket.exists("dangling")
    (elsewhere / "up").symlink_to(bucket.folder)
    with pytest.raises(BucketError, match="leads back to a folder above"):
        keys(bucket)


def test_what_is_no_file_is_no_object(bucket: LocalBucket) -> None:
    """A pipe would block its reader for ever."""
    os.mkfifo(bucket.folder / "pipe")
    assert keys(bucket) == []
    with pytest.raises(ObjectMissing):
        bucket.read("pipe")


def test_a_foreign_file_name_is_listed_but_can_not_be_used(bucket: LocalBucket) -> None:
    """Nothing is silently skipped."""
    (bucket.folder / os.fsdecode(b"latin-\xe9.png")).write_bytes(b"1")
    (key,) = keys(bucket)
    with pytest.raises(InvalidKey, match="not valid Unicode"):
        bucket.read(key)


def test_a_file_system_without_links_is_refused(bucket: LocalBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(BucketUnsupported, match="no hard links"):
        bucket.check()
    assert keys(bucket) == []


def test_a_link_whose_answer_was_lost_counts(bucket: LocalBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """As may happen on NFS: the link is made, but the repeated request says that it exists."""
    link = os.link

    def link_and_lose_the_answer(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", link_and_lose_the_answer)
    assert bucket.create("key", b"1")
    assert not bucket.create("key", b"1")


def test_a_clock_that_is_a_day_ahead_takes_nobody_elses_file_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes for long on one machine is not swept away by another whose clock is wrong."""
    writing = tmp_path / ".partial" / "being-written"
    writing.parent.mkdir()
    writing.touch()
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 86_400)
    LocalBucket(tmp_path).write("key", b"1")
    assert writing.exists()
    os.utime(writing, (time.time() - 2 * 86_400,) * 2)
    LocalBucket(tmp_path).write("key", b"1")
    assert not writing.exists()
