"""Files that appear only when they are complete."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
import errno
import os
from pathlib import Path
import shutil
import uuid

from mura_jobs.bucket.base import BucketError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says when a disk or a quota is full."""


@contextmanager
def arriving(target: Path, size: int) -> Iterator[Path]:
    """A temporary path beside `target` to write `size` bytes to: renamed to it at the end, or removed.

    Raises:
        BucketError: the file can't be written; a message about a full disk gives the bytes needed and free.
    """
    temporary = target.with_name(f".partial-{uuid.uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _require_room(target.parent, size)
        yield temporary
        found = temporary.stat().st_size
        if found != size:
            raise BucketError(f"{target}: {found} bytes arrived instead of {size}; try again")
        temporary.replace(target)
    except OSError as error:
        if error.errno in FULL:
            free = shutil.disk_usage(target.parent).free
            raise BucketError(
                f"{target}: no room for {size:,} bytes, {free:,} are free; give it a larger volume"
            ) from error
        raise BucketError(f"{target}: can't be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _require_room(folder: Path, size: int) -> None:
    if size > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, "it would not fit")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power failure, as fsync does for the bytes of a file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
