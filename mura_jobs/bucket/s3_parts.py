"""Putting a large object in parts at once."""

from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from hashlib import md5
import math
from typing import TYPE_CHECKING, Any

from mura_jobs.bucket.s3_errors import S3_ERRORS, UploadGone
from mura_jobs.bucket.threads import in_order

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 16 << 20
"""Larger objects travel in parts of this size."""
PART_WORKERS = 8
"""Parts in flight, so that a transfer holds at most 128 MiB."""
MAX_PARTS = 10_000
"""S3's limit for one upload."""

Part = Callable[[int, int], bytes]
"""The bytes of an object from a start to before an end."""


def put_parts(
    client: "S3Client",
    send: Callable[..., Any],
    abort: Callable[..., object],
    size: int,
    part: Part,
    **options: object,
) -> None:
    """Put an object of `size` bytes; nothing is left of it if that fails.

    Args:
        client: boto3's.
        send: calls a method of it for the object, with parameters, until it works.
        abort: aborts an upload of the object, at one attempt.
        size: in bytes.
        part: the bytes.
        options: of the object.

    Raises:
        UploadGone: someone completed or aborted it, which may have been an attempt whose answer was lost.
    """
    begun = send(client.create_multipart_upload, **options)
    upload = {"UploadId": begun["UploadId"]}
    step = max(PART_BYTES, math.ceil(size / MAX_PARTS))

    def put(number: int) -> dict[str, object]:
        start, end = (number - 1) * step, min(number * step, size)
        sent = send(client.upload_part, PartNumber=number, **upload, **body(part(start, end)))
        return {"PartNumber": number, "ETag": sent["ETag"]}

    try:
        parts = list(in_order(put, range(1, math.ceil(size / step) + 1), PART_WORKERS))
        send(client.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts})
    except UploadGone:
        raise
    except BaseException:
        with suppress(*S3_ERRORS):
            abort(**upload)
        raise


def body(data: bytes) -> dict[str, object]:
    """Bytes to put, with a digest of them: stores check it, while some take the signature on trust."""
    digest = md5(data, usedforsecurity=False).digest()
    return {"Body": data, "ContentMD5": b64encode(digest).decode()}
