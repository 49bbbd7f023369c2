"""The folder for temporary files of one attempt: gone afterwards, even those of attempts that were killed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
import errno
import fcntl
import os
from pathlib import Path
import shutil
import tempfile

from mura_jobs.errors import ConfigError, MuraError

PREFIX = "mura-jobs-scratch-"
LOCK = "lock"
"""A file in the folder that its process holds locked, which the system lets go of when the process ends."""
FULL = (errno.ENOSPC, errno.EDQUOT)
UNUSABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR)


class ScratchFull(MuraError):
    """No room for temporary files: on another node, or later, there may be."""


@contextmanager
def scratch_folder(parent: str | None) -> Iterator[Path]:
    """An empty folder below `parent`, or below the system's for temporary files.

    Raises:
        ConfigError: nothing can be written there at all.
        ScratchFull: there is no room left.
    """
    try:
        where = Path(parent or tempfile.gettempdir())
        _sweep(where)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
        lock = _lock(folder)
        (folder / "files").mkdir()
    except OSError as error:
        if error.errno in UNUSABLE:
            raise ConfigError(
                f"scratch: temporary files can't be written to {parent or 'the usual folders'} "
                f"({error.strerror}); give a writable folder, in a pod a mounted volume"
            ) from error
        if error.errno in FULL:
            raise _full(where) from error
        raise
    try:
        yield folder / "files"
    except OSError as error:
        if error.errno in FULL:
            raise _full(folder) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def require_room(folder: Path, size: int, purpose: str) -> None:
    """Check that `size` bytes fit before any work is done for them.

    Raises:
        ScratchFull: they don't.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ScratchFull(
            f"scratch: {purpose} needs {size:,} bytes, {free:,} are free at {folder}; give it a larger volume"
        )


def _full(folder: Path) -> ScratchFull:
    usage = shutil.disk_usage(folder)
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return ScratchFull(
        f"scratch: {folder} is full: of {usage.total:,} bytes {usage.free:,} are free and {held:,} are this "
        "attempt's, which needs more; give it a larger volume"
    )


def _lock(folder: Path) -> int:
    """Lock the folder for as long as this process lives; the file bears its name only when it is locked."""
    descriptor = os.open(folder / "locking", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    (folder / "locking").rename(folder / LOCK)
    return descriptor


def _sweep(where: Path) -> None:
    """Remove the folders of processes that were killed."""
    for folder in where.glob(f"{PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(folder / LOCK, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(descriptor)
