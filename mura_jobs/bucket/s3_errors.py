"""What an S3 error means: whether to try again, and what to tell the user to do."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's, of which the built-in one is no base
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from mura_jobs.bucket.base import BucketDenied, BucketError, BucketMissing, BucketUnsupported, ObjectMissing


class BytesDiffer(Exception):
    """An object's bytes are not those that its ETag is the MD5 of: they changed on the way."""


S3_ERRORS = (BotoCoreError, ClientError, ResponseParserError, HTTPError, BytesDiffer)
"""Everything that a request to S3, or reading its answer, may raise."""


class PreconditionFailed(BucketError):
    """If-None-Match or If-Match did not hold."""


class RangeBeyondEnd(BucketError):
    """The object ends before the range starts."""


class UploadGone(BucketError):
    """The multipart upload was completed or aborted already."""


class RequestRefused(BucketError):
    """The store does not accept the request, for a reason of its own."""


BROKEN = (
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseParserError,
    HTTPError,
    BytesDiffer,
)
"""No connection, a stream that breaks off, an answer that makes no sense: the network's doing."""
TRANSIENT_STATUS = (408, 429, 500, 502, 503, 504)
TRANSIENT_CODES = {
    "ConditionalRequestConflict",  # another conditional put at the same moment, 409
    "OperationAborted",
    "RequestTimeout",
    "SlowDown",
    "InternalError",
    "BadDigest",  # bytes changed or were lost on the way
    "XAmzContentSHA256Mismatch",
    "IncompleteBody",
}
"""What may be over when the same request is sent again."""

KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or whatever else boto3 takes them from here"
RIGHTS = (
    "these credentials may not do this; they need s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject "
    "and s3:AbortMultipartUpload here"
)
EXPIRED = "the session's credentials have expired; renew them and run again"
CLOCK = "this machine's clock and the store's differ too much; set it (NTP)"

BY_CODE: dict[str, tuple[type[BucketError], str]] = {
    "NoSuchKey": (ObjectMissing, "there is no such object"),
    "NoSuchBucket": (BucketMissing, "the bucket does not exist; create it, or correct the URL"),
    "NoSuchUpload": (UploadGone, "the upload is over already"),
    "InvalidAccessKeyId": (BucketDenied, f"the store does not know the access key; {KEYS}"),
    "SignatureDoesNotMatch": (BucketDenied, f"the secret key is wrong; {KEYS}"),
    "AccessDenied": (BucketDenied, RIGHTS),
    "ExpiredToken": (BucketError, EXPIRED),
    "TokenRefreshRequired": (BucketError, EXPIRED),
    "RequestTimeTooSkewed": (BucketError, CLOCK),
}
"""The error that each code becomes, and what it means or what to do."""
BY_STATUS: dict[int, tuple[type[BucketError], str]] = {
    401: (BucketDenied, KEYS),
    403: (BucketDenied, RIGHTS),
    404: (ObjectMissing, "there is no such object"),
    412: (PreconditionFailed, "the condition does not hold"),
    416: (RangeBeyondEnd, "the object ends before"),
    501: (BucketUnsupported, "the store lacks what this needs; use another one"),
}
"""The same for codes that are not listed, and for answers without a body, which have none."""


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, ClientError):
        code = _code(error)
        return code in TRANSIENT_CODES or (_status(error) in TRANSIENT_STATUS and code not in BY_CODE)
    return isinstance(error, BROKEN) and not isinstance(error, SSLError)


def translate(error: Exception, *, where: str, attempts: int) -> BucketError:
    """The error to raise; `where` names bucket, endpoint and key for its message, which says what to do."""
    if isinstance(error, ClientError):
        return _translate_answer(error, where, attempts)
    if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        return BucketDenied(f"{where}: no credentials ({error}); {KEYS}")
    if isinstance(error, SSLError):
        return BucketError(
            f"{where}: the encrypted connection failed: {error}; a store with a certificate of its own needs "
            "AWS_CA_BUNDLE, one without TLS an http:// endpoint"
        )
    if is_transient(error):
        return BucketError(
            f"{where}: unavailable in {attempts} attempts, at last {type(error).__name__}: {error}; check "
            "that the endpoint is right, the store runs and nothing (DNS, proxy, NetworkPolicy) is between"
        )
    return BucketError(f"{where}: {type(error).__name__}: {error}")


def _translate_answer(error: ClientError, where: str, attempts: int) -> BucketError:
    code, status = _code(error), _status(error)
    message = error.response.get("Error", {}).get("Message", "")
    if is_transient(error):
        kind: type[BucketError] = BucketError
        advice = f"still so after {attempts} attempts; try again later"
    else:
        kind, advice = (
            BY_CODE.get(code) or BY_STATUS.get(status) or (RequestRefused, "the store refuses this")
        )
    return kind(f"{where}: {advice} [{error.operation_name}: HTTP {status} {code}: {message}]")


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
