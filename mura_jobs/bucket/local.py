"""A bucket in a folder of this machine, or of a volume that several share."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
import errno
from io import BytesIO
import os
from pathlib import Path
import random
import shutil
import time
from typing import BinaryIO
import uuid

from mura_jobs.bucket.base import (
    Bucket,
    BucketDenied,
    BucketError,
    BucketMissing,
    BucketUnsupported,
    Entry,
    InvalidKey,
    ObjectMissing,
)
from mura_jobs.bucket.files import FULL, arriving, sync_folder
from mura_jobs.bucket.keys import require_valid_key, require_valid_prefix

PARTIAL = ".partial"
"""Folder for files that are being written. It is on the same file system, so that a rename moves them."""
REMOVED_SECONDS = 20.0
"""How long a write tries again when the folder it goes to is removed under it."""

ABANDONED_SECONDS = 3600.0
"""A partial file that nobody has written to for so long was left by a process that was killed."""
COPY_BYTES = 8 << 20
ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What the system says when there is no file of this name."""


class LocalBucket(Bucket):
    """A folder whose files are the objects.

    Writing goes to a temporary file that is synced to disk and then renamed, or hard-linked where the key
    must be new, so readers and crashes see all or nothing. Unlike in S3, "a" and "a/b" can't both be keys.
    """

    workers = 8

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = folder.as_uri()
        self._swept = False

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects whose keys start with `prefix`, sorted by the UTF-8 bytes of the key."""
        require_valid_prefix(prefix, where=self.url)
        if not self.folder.is_dir():
            raise self._missing_folder()
        start = prefix[: prefix.rfind("/") + 1]
        for key, entry in self._walk(self.folder / start, start, prefix, ()):
            try:
                status = entry.stat()
            except FileNotFoundError:  # deleted meanwhile
                continue
            yield Entry(key, status.st_size, str(status.st_mtime_ns))

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, `length` of them or all."""
        with self.open(key) as file, self._translated(key):
            file.seek(start)
            return file.read() if length is None else file.read(length)

    def size(self, key: str) -> int:
        """The object's size in bytes."""
        with self.open(key) as file:
            return os.fstat(file.fileno()).st_size

    def write(self, key: str, data: bytes) -> None:
        """Put an object."""
        self._put(key, BytesIO(data), os.replace)

    def create(self, key: str, data: bytes) -> bool:
        """Put an object unless the key is taken."""
        created = True

        def link(temporary: Path, path: Path) -> None:
            nonlocal created
            try:
                os.link(temporary, path)
            except FileExistsError:
                if path.is_dir():
                    raise
                # a network file system may have linked it and lost the answer
                created = path.samefile(temporary)
            except OSError as error:
                if error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                    raise BucketUnsupported(
                        f"{self.url}: its file system has no hard links ({error.strerror}), without which "
                        "two jobs could publish over each other; use a local disk, NFS, CephFS or S3"
                    ) from error
                raise

        self._put(key, BytesIO(data), link)
        return created

    def upload(self, path: Path, key: str) -> None:
        """Put a file of any size."""
        with path.open("rb") as source:
            self._put(key, source, os.replace)

    def download(self, key: str, path: Path) -> None:
        """Copy an object to a file."""
        with self.open(key) as source:
            size = os.fstat(source.fileno()).st_size
            with arriving(path, size) as temporary, temporary.open("wb") as target:
                shutil.copyfileobj(source, target, COPY_BYTES)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, and the folders that are empty then."""
        for key in keys:
            path = self._path(key)
            with self._translated(key), suppress(*ABSENT):
                path.unlink()
            with suppress(OSError):
                for folder in path.parents[: key.count("/")]:
                    folder.rmdir()
        if not self.folder.is_dir():
            raise self._missing_folder()

    def open(self, key: str) -> BinaryIO:
        """The object as a file for reading."""
        path = self._path(key)
        with self._translated(key):
            if not path.is_file():  # opening a pipe would block
                raise FileNotFoundError
            return path.open("rb")

    def _path(self, key: str) -> Path:
        require_valid_key(key, where=self.url)
        if key.split("/", 1)[0] == PARTIAL:
            raise InvalidKey(
                f"{self.url}: {key!r} can't be a key: {PARTIAL} holds files that are being written"
            )
        return self.folder / key

    def _walk(
        self, folder: Path, key: str, prefix: str, above: tuple[tuple[int, int], ...]
    ) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Files below `folder` and their keys in order; `above` identifies the folders that lead here."""
        with self._translated(key):
            try:
                status = folder.stat()
                with os.scandir(folder) as entries:
                    # "/" takes part in the order: "a.b" comes before "a/b"
                    found = sorted((os.fsencode(e.name) + b"/" * e.is_dir(), e) for e in entries)
            except (FileNotFoundError, NotADirectoryError):  # no such folder, or deleted meanwhile
                return
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            raise BucketError(f"{folder}: this link leads back to a folder above it; remove it")
        for name, entry in found:
            below = key + os.fsdecode(name)
            if not (below.startswith(prefix) or prefix.startswith(below)) or below == f"{PARTIAL}/":
                continue
            if name.endswith(b"/"):
                yield from self._walk(folder / entry.name, below, prefix, (*above, identity))
            elif entry.is_file() and below.startswith(prefix):
                yield below, entry

    def _put(self, key: str, source: BinaryIO, place: Callable[[Path, Path], None]) -> None:
        path = self._path(key)
        with self._translated(key):
            with self._partial() as temporary:
                with temporary.open("xb") as target:
                    shutil.copyfileobj(source, target, COPY_BYTES)
                    target.flush()
                    os.fsync(target.fileno())
                made = self._place(temporary, path, place)
            with suppress(FileNotFoundError):  # deleted already, and the folder with it
                for folder in (*made, path.parent):
                    sync_folder(folder)

    def _place(self, temporary: Path, path: Path, place: Callable[[Path, Path], None]) -> set[Path]:
        """Give the temporary file its name, in a folder that a delete may remove at the same time.

        Returns the folders in which new ones were made: they are brought to disk afterwards, since the time
        from making a folder to filling it is the time in which it can be removed.
        """
        made: set[Path] = set()
        deadline = time.monotonic() + REMOVED_SECONDS
        while time.monotonic() < deadline:
            try:
                made |= _make_folder(path.parent)
                place(temporary, path)
            except FileNotFoundError:
                time.sleep(random.uniform(0, 0.001))  # noqa: S311 - out of step with whoever removes it
                continue
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise InvalidKey(
                    f"{self.url}: {path.relative_to(self.folder)} can't be written: on disk an object and a "
                    "folder can't have the same name; delete the other one, or use an s3:// bucket"
                ) from error
            return made
        raise BucketError(f"{path.parent}: this folder is removed as often as it is made; try again")

    @contextmanager
    def _partial(self) -> Iterator[Path]:
        """A path for a temporary file, which is gone afterwards."""
        folder = self.folder / PARTIAL
        folder.mkdir(exist_ok=True)
        temporary = folder / uuid.uuid4().hex
        if not self._swept:
            self._swept = True
            temporary.touch()
            _sweep(folder, now=temporary.stat().st_mtime)
            temporary.unlink()
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except ABSENT as error:
            if not self.folder.is_dir():
                raise self._missing_folder() from error
            raise ObjectMissing(f"{self.url}: there is no object {key}") from error
        except PermissionError as error:
            raise BucketDenied(
                f"{self.url}: {key}: permission denied; user {os.getuid()} needs access to {error.filename}"
            ) from error
        except OSError as error:
            if error.errno in FULL:
                free = shutil.disk_usage(self.folder).free
                raise BucketError(f"{self.url}: no room for {key}, {free:,} bytes are free") from error
            raise BucketError(f"{self.url}: {key}: {error.strerror or error}") from error

    def _missing_folder(self) -> BucketMissing:
        return BucketMissing(f"{self.url}: the folder does not exist; create it: mkdir -p {self.folder}")


def _make_folder(folder: Path) -> set[Path]:
    """Like mkdir -p; returns the folders that got a new name in them."""
    if folder.is_dir():
        return set()
    above = _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    return above | {folder.parent}


def _sweep(folder: Path, now: float) -> None:
    """Remove what killed processes left; `now` is the file system's, since a machine's clock may be wrong."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            if now - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()
