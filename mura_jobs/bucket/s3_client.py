"""One boto3 client, and one way of sending requests with it: retried, and with errors that say what to do."""

from collections.abc import Callable
from pathlib import Path
import random
import time
from typing import TYPE_CHECKING, TypeVar

from boto3.session import Session
from botocore.config import Config

from mura_jobs.bucket.s3_bulk import Bulk
from mura_jobs.bucket.s3_errors import S3_ERRORS, is_transient, translate
from mura_jobs.errors import ConfigError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
"""Longest wait for the next bytes of an answer."""
FIRST_DELAY_SECONDS = 0.25
MAX_DELAY_SECONDS = 20.0


def connect(endpoint: str | None, connections: int, bucket: str) -> "tuple[S3Client, Bulk | None]":
    """A client whose credentials, region and, where `endpoint` is None, endpoint come from boto3's settings.

    It does not retry: `send` does. With it comes what does the same for `bucket` faster, unless there are no
    credentials.

    Raises:
        ConfigError: the endpoint is none, or boto3 is told to trust certificates that are none.
    """
    aws = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=connections,
        tcp_keepalive=True,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    # other servers than AWS have neither a host name per bucket nor, often, the newer checksums
    other = aws.merge(
        Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
    )
    session = Session()
    try:
        client: S3Client = session.client("s3", endpoint_url=endpoint, config=other if endpoint else aws)
        if endpoint is None and ".amazonaws.com" not in client.meta.endpoint_url:  # AWS_ENDPOINT_URL or so
            client = session.client("s3", config=other)
    except ValueError as error:
        raise ConfigError(f"bucket {bucket}: {error}; set the endpoint to http(s)://HOST:PORT") from None
    credentials = session.get_credentials()
    if credentials is None:
        return client, None
    certificates = _certificates(session)
    try:
        bulk = Bulk(
            bucket,
            endpoint=client.meta.endpoint_url,
            region=client.meta.region_name,
            credentials=credentials,
            certificates=certificates,
            connect_seconds=CONNECT_SECONDS,
            read_seconds=READ_SECONDS,
        )
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"bucket {bucket}: can't connect with certificates {certificates}: {error}"
        ) from error
    return client, bulk


def _certificates(session: Session) -> Path | None:
    """The file of certificates that boto3 trusts instead of the system's."""
    found = session._session.get_config_variable("ca_bundle")  # noqa: SLF001 - boto3 has no other way to ask
    return Path(found) if found else None


def send(request: Callable[[], T], *, where: str, attempts: int) -> T:
    """Send a request, and again when it fails in a way that may pass, with growing pauses between.

    Ten attempts outlast a store that is away for half a minute. botocore's own retries would not do: they end
    before the body of an answer is read, and all threads of a client share a budget of 100 retries, which 32
    threads use up in the first three seconds of an outage.

    Raises:
        BucketError: as `translate` says.
    """
    for attempt in range(1, attempts + 1):
        try:
            return request()
        except S3_ERRORS as error:
            if attempt == attempts or not is_transient(error):
                raise translate(error, where=where, attempts=attempt) from error
        delay = min(FIRST_DELAY_SECONDS * 2 ** (attempt - 1), MAX_DELAY_SECONDS)
        time.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the threads, keeps no secret
    raise AssertionError("a bucket needs at least one attempt")
