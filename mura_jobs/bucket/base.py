"""What every stage may ask of a bucket, whatever it is made of."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple
import uuid

from mura_jobs.bucket.threads import in_order
from mura_jobs.errors import MuraError


class BucketError(MuraError):
    """The bucket could not do what it was asked, after all retries: a later attempt may succeed."""


class ObjectMissing(BucketError, KeyError):
    """No object has this key."""

    # KeyError would print the message in quotes
    __str__ = Exception.__str__


class BucketDenied(BucketError):
    """The credentials are missing, wrong or not allowed to do this."""

    exit_code = 64


class BucketMissing(BucketError):
    """The bucket itself does not exist."""

    exit_code = 64


class BucketUnsupported(BucketError):
    """The store lacks what the pipeline stands on, such as the conditional put."""

    exit_code = 64


class InvalidKey(BucketError, ValueError):
    """The key is not one that every kind of bucket can hold."""

    exit_code = 64


class Entry(NamedTuple):
    """One object in a listing."""

    key: str
    size: int
    """In bytes."""
    version: str
    """Changes with the object: S3's ETag, or when a file was last written; empty if a store says neither."""


class Bucket(ABC):
    """Objects by key under one URL.

    Keys are relative to the URL and "/"-separated, such as "runs/a/run.json"; `require_valid_key` says which
    are allowed. Every method raises `BucketError` when the bucket is unavailable after all retries, and its
    subclasses `BucketDenied` and `BucketMissing` when another attempt can't help. All methods may be called
    from several threads at once.
    """

    url: str
    """Where it lies, without credentials: s3://BUCKET/PREFIX or file:///folder."""

    workers: int
    """Threads that `write_all` and `read_all` use."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects whose keys start with `prefix`, sorted by the UTF-8 bytes of the key."""

    @abstractmethod
    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`: `length` of them, or all; fewer where the object ends before.

        Raises:
            ObjectMissing: no object has this key.
        """

    @abstractmethod
    def size(self, key: str) -> int:
        """The object's size in bytes.

        Raises:
            ObjectMissing: no object has this key.
        """

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""
        try:
            self.size(key)
        except ObjectMissing:
            return False
        return True

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Put an object, new or in place of another: readers see the old or the new, never a mixture."""

    @abstractmethod
    def create(self, key: str, data: bytes) -> bool:
        """Put an object unless the key is taken: True for exactly one of all callers, False for the others.

        Raises:
            BucketUnsupported: the store has no conditional put.
        """

    @abstractmethod
    def upload(self, path: Path, key: str) -> None:
        """Put a file of any size, in parts at once. Atomic as `write`."""

    @abstractmethod
    def download(self, key: str, path: Path) -> None:
        """Copy an object of any size to a file, in parts at once. The file appears when it is complete.

        Raises:
            ObjectMissing: no object has this key.
        """

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects. Keys that no object has are fine."""

    @abstractmethod
    def open(self, key: str) -> BinaryIO:
        """The object as a seekable file for reading, such as zipfile wants, without downloading it.

        It stays the object that was there when it was opened: if that is overwritten, the file reads on or
        raises `BucketError`, but never mixes the two.

        Raises:
            ObjectMissing: no object has this key.
        """

    def write_all(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Put many small objects, in no certain order and several at once.

        At most 2 × `workers` objects are held in memory; the iterable is consumed in the calling thread.
        """
        for _ in in_order(lambda item: self.write(*item), items, self.workers):
            pass

    def read_all(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Read many small objects ahead, and yield each with its key in the order of `keys`.

        At most 2 × `workers` objects are held in memory; the iterable is consumed in the calling thread.

        Raises:
            ObjectMissing: no object has one of the keys.
        """
        yield from in_order(lambda key: (key, self.read(key)), keys, self.workers)

    def check(self) -> None:
        """Prove that everything the pipeline needs works here: put, conditional put, list, read and delete.

        Raises:
            BucketUnsupported: the store accepts a conditional put but ignores the condition, or has none.
            BucketError: something else fails; the message says what to do.
        """
        key = f"check-{uuid.uuid4().hex}"
        data = key.encode()
        try:
            created = self.create(key, data)
            if not created or self.create(key, b"second") or self.read(key) != data:
                raise BucketUnsupported(
                    f"{self.url}: the store ignores the condition of a conditional put (If-None-Match: *), "
                    "so two jobs could publish over each other. Use a store that honours it, such as AWS S3, "
                    "SeaweedFS or a file:// folder"
                )
            self.write(key, data[::-1])
            listed, end = [entry[:2] for entry in self.list(key)], self.read(key, len(data) - 5)
            if listed != [(key, len(data))] or end != data[4::-1]:
                raise BucketError(
                    f"{self.url}: wrote {key} with {len(data)} bytes, but then listed {listed} and read "
                    f"{end!r} at its end; the store, or a cache or proxy before it, is not consistent"
                )
        finally:
            self.delete([key])
        if self.exists(key):
            raise BucketError(f"{self.url}: {key} is still there after it was deleted; allow s3:DeleteObject")
