"""Where raw files lie: a folder of the bucket, or a zip in it that is read by range, never unpacked."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
import lzma
from pathlib import PurePosixPath
import struct
from types import TracebackType
from typing import Self
import zipfile
import zlib

from mura_jobs.bucket.base import Bucket, BucketError, ObjectMissing
from mura_jobs.bucket.keys import why_invalid
from mura_jobs.errors import InputError
from mura_jobs.radiographs.decode import Unreadable

MAX_FILE_BYTES = 1 << 27
"""A raw file larger than this (128 MiB) is not read; radiographs have 0.1 to 30, a zip bomb has many GB."""

AHEAD_BYTES = 1 << 27
"""Files that are read ahead of their use have no more bytes than this together, or are one file."""

MAX_RATIO = 1000
"""A zip's member that grows by more than this is refused; deflate can reach 1032 on zeros only."""

DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(OSError, ValueError, IndexError, RuntimeError, OverflowError, MemoryError),
)
"""What reading a damaged zip raises: sizes, places and methods that make no sense, streams that break off."""


class SourceMissing(InputError):
    """Nothing lies where the raw data should."""


class Files(AbstractContextManager["Files"], ABC):
    """Raw files by path, in one place."""

    where: str
    """The place, for messages."""
    sizes: Mapping[str, int]
    """Every file's path and its size in bytes, sorted by path."""
    versions: Mapping[str, str]
    """What changes when a file does, by its path."""

    @abstractmethod
    def read_all(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | Unreadable]]:
        """Each file's path and bytes, in the order that reads fastest, or why it can't be read."""

    def read(self, path: str) -> bytes:
        """One file's bytes.

        Raises:
            InputError: there is no such file, or it can't be read.
        """
        if path not in self.sizes:
            raise InputError(f"{self.where}: there is no {path}")
        data = next(iter(self.read_all([path])))[1]
        if isinstance(data, Unreadable):
            raise InputError(f"{self.where}: {path}: {data}")
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of what is open."""


class Folder(Files):
    """The files under a prefix of the bucket; paths are relative to it."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        """List the files.

        Raises:
            InputError: nothing lies there.
        """
        self._bucket = bucket
        self._start = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.where = f"{bucket.url}/{self._start}".rstrip("/")
        listed = [entry._replace(key=entry.key[len(self._start) :]) for entry in bucket.list(self._start)]
        if not listed:
            raise SourceMissing(
                f"{self.where}: nothing lies there; put the raw data there or correct `source`"
            )
        self.sizes = {entry.key: entry.size for entry in listed}
        self.versions = {entry.key: entry.version for entry in listed}

    def read_all(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | Unreadable]]:
        """Read several at once, ahead of their use, in the order of `paths`.

        Raises:
            InputError: a file that was listed is gone.
        """
        for batch in self._batches(paths):
            if self.sizes[batch[0]] > MAX_FILE_BYTES:
                yield batch[0], too_large(self.sizes[batch[0]])
                continue
            try:
                for key, data in self._bucket.read_all(self._start + path for path in batch):
                    yield key[len(self._start) :], data
            except ObjectMissing as error:
                raise InputError(f"{self.where}: a file that was listed is gone: {error}") from None

    def _batches(self, paths: Iterable[str]) -> Iterator[list[str]]:
        """The paths in order, in batches of `AHEAD_BYTES`; a larger one is a batch of its own."""
        batch: list[str] = []
        total = 0
        for path in paths:
            size = self.sizes[path]
            if batch and total + size > AHEAD_BYTES:
                yield batch
                batch, total = [], 0
            batch.append(path)
            total += size
        if batch:
            yield batch


class Zip(Files):
    """The members of a zip in the bucket."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        """Read the zip's directory, twice: nothing in it tells whether its bytes arrived as they lie there.

        Raises:
            InputError: there is no such zip, or it holds what no data set needs: encrypted or huge members,
                links, or paths that lead out of the folder.
            BucketError: the directory was another when read again.
        """
        self.where = f"{bucket.url}/{key}"
        with ExitStack() as opened:
            first, second = [self._look(bucket, key, opened) for _ in range(2)]
            if _told(first) != _told(second):
                raise BucketError(
                    f"{self.where}: its directory was another when read again; bytes changed on the way, "
                    "or the zip was replaced meanwhile: try again"
                )
            if isinstance(first, str) or isinstance(second, str):
                raise InputError(f"{self.where}: not a readable zip ({first}); upload it again")
            self._members = {
                member.filename: member for member in first.infolist() if not member.filename.endswith("/")
            }
            for member in self._members.values():
                _require_harmless(self.where, member)
            self._zip, self._again = first, second
            self._opened = opened.pop_all()
        self.sizes = {path: self._members[path].file_size for path in sorted(self._members)}
        self.versions = {path: f"{member.CRC:08x}" for path, member in self._members.items()}

    def read_all(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | Unreadable]]:
        """Read in the order in which the members lie in the zip, so that ranges are read once."""
        for path in sorted(paths, key=lambda path: self._members[path].header_offset):
            member = self._members[path]
            try:
                data = self._zip.read(member)
            except DAMAGES:  # of what was read ahead, perhaps, and not of what lies there
                try:
                    data = self._again.read(member)
                except DAMAGES as error:
                    yield path, Unreadable(f"damaged in the zip: {error}")
                    continue
            yield path, data

    def _look(self, bucket: Bucket, key: str, opened: ExitStack) -> zipfile.ZipFile | str:
        """The zip, opened, or why that can't be done."""
        try:
            return opened.enter_context(zipfile.ZipFile(opened.enter_context(bucket.open(key))))
        except ObjectMissing:
            raise SourceMissing(f"{self.where}: there is no such zip; correct `source`") from None
        except DAMAGES as error:
            return str(error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the zip."""
        self._opened.close()


def too_large(size: int) -> Unreadable:
    """Why a file of this size is not read."""
    return Unreadable(f"{size:,} bytes; a radiograph has at most {MAX_FILE_BYTES:,}")


_TOLD = (
    *("filename", "CRC", "file_size", "compress_size", "compress_type"),
    *("header_offset", "flag_bits", "external_attr"),
)
"""What of a directory's entry is used here."""


def _told(archive: zipfile.ZipFile | str) -> object:
    """All that a zip's directory says of its members, or why it can't be read."""
    if isinstance(archive, str):
        return archive
    return [[getattr(member, name) for name in _TOLD] for member in archive.infolist()]


def _require_harmless(where: str, member: zipfile.ZipInfo) -> None:
    path, name = PurePosixPath(member.filename), f"{where}: {member.filename!r}"
    if (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in member.filename
        or ":" in member.filename.split("/")[0]
    ):
        raise InputError(f"{name} leads out of the zip's folder; this zip is not a data set as shipped")
    if reason := why_invalid(member.filename):
        raise InputError(f"{name} is a name that no data set has: {reason}")
    if member.flag_bits & 0x1:
        raise InputError(f"{name} is encrypted; pack the zip without a password")
    if (member.external_attr >> 16) & 0o170000 == 0o120000:
        raise InputError(f"{name} is a symbolic link; a data set holds files only")
    if member.file_size > MAX_FILE_BYTES:
        raise InputError(f"{name}: {too_large(member.file_size)}")
    if member.file_size > MAX_RATIO * max(member.compress_size, 1):
        raise InputError(
            f"{name} grows from {member.compress_size:,} to {member.file_size:,} bytes: a bomb, no radiograph"
        )
