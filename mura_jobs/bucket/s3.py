"""A bucket on AWS S3 or any server that speaks its protocol."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
import io
from itertools import islice
import mimetypes
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
import uuid

from mura_jobs.bucket.base import Bucket, BucketError, BucketUnsupported, Entry, ObjectMissing
from mura_jobs.bucket.files import arriving
from mura_jobs.bucket.keys import require_valid_key, require_valid_prefix
from mura_jobs.bucket.reader import RangedReader
from mura_jobs.bucket.s3_bulk import Piece, differs, digest
from mura_jobs.bucket.s3_client import connect, send
from mura_jobs.bucket.s3_errors import (
    S3_ERRORS,
    BytesDiffer,
    PreconditionFailed,
    RangeBeyondEnd,
    RequestRefused,
    UploadGone,
    translate,
)
from mura_jobs.bucket.s3_parts import PART_BYTES, PART_WORKERS, Part, body, put_parts
from mura_jobs.bucket.threads import in_order

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef, ListObjectsV2OutputTypeDef

T = TypeVar("T")

DELETE_BATCH = 1000
"""S3's limit for one request."""
WRITER = "writer"
"""Metadata that tells our put from another's when its answer was lost."""


class S3Bucket(Bucket):
    """The objects of an S3 bucket below a prefix."""

    workers = 32

    def __init__(
        self, name: str, prefix: str = "", endpoint: str | None = None, *, attempts: int = 10
    ) -> None:
        """Prepare a client; nothing is sent.

        Args:
            name: the bucket's name.
            prefix: folder in it, without slashes around, or "" for all of it.
            endpoint: URL of the server, or None for boto3's settings and AWS.
            attempts: how often a request is sent before its failure counts; ten take about a minute where the
                connection is refused, and up to six where the server is silent.
        """
        self.name = name
        self.url = f"s3://{name}/{prefix}".rstrip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._attempts = attempts
        self._seen = False
        self._deletes_in_bulk = True
        self._etags_are_md5 = True
        try:
            self._client, self._bulk = connect(endpoint, self.workers + PART_WORKERS, name)
        except S3_ERRORS as error:
            raise translate(error, where=self.url, attempts=1) from error

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects whose keys start with `prefix`, sorted by the UTF-8 bytes of the key.

        Keys that end in "/" are left out: consoles make such empty objects to show a folder.
        """
        require_valid_prefix(prefix, where=self.url)
        page = self._page(prefix)
        entries = [*self._entries(page)]
        while page["IsTruncated"]:
            page = self._page(prefix, ContinuationToken=page["NextContinuationToken"])
            entries += self._entries(page)
        # AWS sorts by bytes (which is the order of str), but others folder by folder
        yield from sorted(entries)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, `length` of them or all."""
        if length == 0:
            self.size(key)
            return b""
        try:
            return bytes(self._get(key, start, length).data)
        except RangeBeyondEnd:
            return b""

    def size(self, key: str) -> int:
        """The object's size in bytes."""
        # a GET of one byte: unlike a HEAD, its answer says what is wrong
        return self._first(key, 1).total

    def write(self, key: str, data: bytes) -> None:
        """Put an object."""
        if len(data) > PART_BYTES:
            self._put_parts(key, len(data), lambda start, end: data[start:end])
        else:
            self._put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        """Put an object unless the key is taken."""
        writer = uuid.uuid4().hex
        try:
            self._put(key, data, IfNoneMatch="*", Metadata={WRITER: writer})
        except PreconditionFailed:
            # taken; but by an earlier attempt of ours if its answer was lost
            return self._writer(key) == writer
        except BucketUnsupported as error:
            raise BucketUnsupported(
                f"{error}; a conditional put (If-None-Match: *) is what makes publishing safe"
            ) from error
        return True

    def upload(self, path: Path, key: str) -> None:
        """Put a file of any size."""
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= PART_BYTES:
                self._put(key, file.read())
            else:

                def part(start: int, end: int) -> bytes:
                    data = os.pread(file.fileno(), end - start, start)
                    if len(data) != end - start:
                        raise BucketError(f"{path}: the file shrank while it was uploaded; try again")
                    return data

                self._put_parts(key, size, part)

    def download(self, key: str, path: Path) -> None:
        """Copy an object to a file."""
        first = self._get_quick(key, (0, PART_BYTES)) or self._first(key, PART_BYTES)
        with arriving(path, first.total) as temporary:
            temporary.write_bytes(first.data)

            def copy(start: int) -> None:
                span = (start, start + PART_BYTES)
                piece = self._get_quick(key, span, first.etag) or self._get(
                    key, start, PART_BYTES, first.etag
                )
                with temporary.open("rb+") as file:
                    file.seek(start)
                    file.write(piece.data)

            for _ in in_order(copy, range(PART_BYTES, first.total, PART_BYTES), PART_WORKERS):
                pass

    def open(self, key: str) -> BinaryIO:
        """The object as a seekable file for reading."""
        first = self._first(key, 1)

        def fetch(start: int, length: int) -> bytes:
            return bytes(self._get(key, start, length, first.etag).data)

        return io.BufferedReader(RangedReader(fetch, first.total))

    def write_all(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Put many small objects."""
        self._require_bucket()
        for _ in in_order(lambda item: self._put_quick(*item), items, self.workers):
            pass

    def read_all(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Read many small objects ahead, in order."""

        def read(key: str) -> tuple[str, bytes]:
            piece = self._get_quick(key)
            return key, bytes(piece.data) if piece else self.read(key)

        yield from in_order(read, keys, self.workers)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, a thousand at a time where the store can."""
        names = map(self._name, keys)
        while batch := list(islice(names, DELETE_BATCH)):
            for name in self._delete_batch(batch):
                self._send(self._client.delete_object, Key=name)

    def _delete_batch(self, batch: Sequence[str]) -> Sequence[str]:
        """Delete by one request, and return what it could not delete."""
        if not self._deletes_in_bulk:
            return batch
        objects = [{"Key": name} for name in batch]
        try:
            answer = self._send(self._client.delete_objects, Delete={"Objects": objects, "Quiet": True})
        except (RequestRefused, BucketUnsupported):
            self._deletes_in_bulk = False
            return batch
        return [failed["Key"] for failed in answer.get("Errors", [])]

    def _name(self, key: str) -> str:
        """The key in the S3 bucket."""
        require_valid_key(self._prefix + key, where=self.url)
        return self._prefix + key

    def _send(self, method: Callable[..., T], **parameters: object) -> T:
        where = f"{self.url} at {self._client.meta.endpoint_url}"
        if "Key" in parameters:
            where += f": {str(parameters['Key']).removeprefix(self._prefix)}"
        request = partial(method, Bucket=self.name, **parameters)
        return send(request, where=where, attempts=self._attempts)

    def _page(self, prefix: str, **options: object) -> "ListObjectsV2OutputTypeDef":
        return self._send(self._client.list_objects_v2, Prefix=self._prefix + prefix, **options)

    def _entries(self, page: "ListObjectsV2OutputTypeDef") -> Iterator[Entry]:
        for each in page.get("Contents", []):
            if not each["Key"].endswith("/"):
                key = each["Key"][len(self._prefix) :]
                yield Entry(key, each["Size"], each.get("ETag", "").strip('"'))

    def _get(self, key: str, start: int, length: int | None, etag: str | None = None) -> Piece:
        """A range of an object, of the version `etag` if that is given.

        Raises:
            RangeBeyondEnd: it has no byte at `start`.
            ObjectMissing: no object has this key.
            BucketError: it was overwritten by another version.
        """
        ranged = start > 0 or length is not None
        options = {"IfMatch": etag} if etag else {}
        if ranged:
            options["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        try:
            answer, data = self._send(partial(self._get_whole, set()), Key=self._name(key), **options)
        except PreconditionFailed as error:
            raise BucketError(
                f"{self.url}: {key} was overwritten while it was read; read it again"
            ) from error
        if not ranged:
            return Piece(data, len(data), answer["ETag"])
        if "ContentRange" not in answer:
            raise BucketUnsupported(f"{self.url}: {key}: the store ignores Range; use another one")
        total = int(answer["ContentRange"].rpartition("/")[2])
        expected = total - start if length is None else min(length, total - start)
        if len(data) != expected:
            raise BucketError(f"{self.url}: {key}: {len(data)} bytes from {start} instead of {expected}")
        return Piece(data, total, answer["ETag"])

    def _get_whole(self, seen: set[str], **parameters: Any) -> tuple["GetObjectOutputTypeDef", bytes]:  # noqa: ANN401 - boto3's
        """A GET that is over when its body has been read and checked, so that a broken one is retried too."""
        answer = self._client.get_object(**parameters)
        with closing(answer["Body"]) as body:
            data = body.read()
        total = answer.get("ContentRange", f"/{len(data)}").rpartition("/")[2]
        if self._etags_are_md5 and total == str(len(data)) and differs(data, answer["ETag"]):
            # the same bytes twice did not change on the way: encrypted stores' ETags are no digests
            self._etags_are_md5 = digest(data) not in seen
            if self._etags_are_md5:
                seen.add(digest(data))
                raise BytesDiffer(f"{len(data)} bytes arrived that are not those of the ETag")
        return answer, data

    def _get_quick(
        self, key: str, span: tuple[int, int] | None = None, etag: str | None = None
    ) -> Piece | None:
        """What `_get` would give, if it can be had quickly."""
        return self._bulk.get(self._name(key), span, etag) if self._bulk else None

    def _put_quick(self, key: str, data: bytes) -> None:
        """Put an object, quickly if it can be had."""
        quick = self._bulk if len(data) <= PART_BYTES else None
        if not (quick and quick.put(self._name(key), data, _content_type(key))):
            self.write(key, data)

    def _first(self, key: str, length: int) -> Piece:
        """The first bytes of an object, which may be empty."""
        try:
            return self._get(key, 0, length)
        except RangeBeyondEnd:
            return Piece(b"", 0, "")

    def _put(self, key: str, data: bytes, **options: object) -> None:
        name = self._name(key)
        self._require_bucket()
        kind = _content_type(key)
        self._send(self._client.put_object, Key=name, ContentType=kind, **body(data), **options)

    def _put_parts(self, key: str, size: int, part: Part) -> None:
        """Put an object whose bytes from `start` to `end` are `part(start, end)`."""
        name, writer = self._name(key), uuid.uuid4().hex
        self._require_bucket()
        options = {"ContentType": _content_type(key), "Metadata": {WRITER: writer}}
        abort = partial(self._client.abort_multipart_upload, Bucket=self.name, Key=name)
        try:
            put_parts(self._client, partial(self._send, Key=name), abort, size, part, **options)
        except UploadGone:
            # it is complete if only the answer was lost
            if self._writer(key) != writer:
                raise

    def _writer(self, key: str) -> str | None:
        """Which of all puts made the object that is at `key`."""
        try:
            return self._send(self._client.head_object, Key=self._name(key))["Metadata"].get(WRITER)
        except ObjectMissing:  # deleted meanwhile
            return None

    def _require_bucket(self) -> None:
        """Some servers make a missing bucket at the first put, and a misspelt one would go unnoticed."""
        if not self._seen:
            self._page("", MaxKeys=1)
            self._seen = True


def _content_type(key: str) -> str:
    """What a browser should take it for, so that a report can be read where it lies."""
    return mimetypes.guess_type(key)[0] or "application/octet-stream"
