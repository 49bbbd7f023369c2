"""The two requests that are sent by the thousand, at an eighth of the processor time that boto3 takes.

boto3 spends a millisecond of Python on each request, which threads can't share: 32 of them send 650 a second
on any machine. obstore does the same in Rust, beside the interpreter. It is asked first and once; whatever
comes out other than as expected is asked again through boto3, which retries and knows what errors mean.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from botocore.credentials import Credentials
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, S3Credential

T = TypeVar("T")

CREDENTIAL_LIFE = timedelta(minutes=10)
"""After half of it boto3 is asked for credentials again, which renews them a quarter of an hour early."""
ANSWER_SECONDS = 600.0
"""Longest time for one answer as a whole: 16 MiB at 0.2 Mbit/s."""
MAX_FAILURES = 20
"""In a row: then this store or network wants something of boto3's, and is asked through it alone."""


class Piece(NamedTuple):
    """A range of an object, with the size and the version of the whole."""

    data: bytes | memoryview
    total: int
    etag: str


class Bulk:
    """GET and PUT of whole objects and ranges in one S3 bucket. Any number of threads may use it."""

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str,
        region: str,
        credentials: Credentials,
        certificates: Path | None,
        connect_seconds: float,
        read_seconds: float,
    ) -> None:
        """Prepare a client; nothing is sent.

        Args:
            bucket: the bucket's name.
            endpoint: where boto3 sends its requests.
            region: as boto3 signs them.
            credentials: boto3's, which renews them.
            certificates: file of certificates to trust, where boto3 was given one.
            connect_seconds: longest wait for a connection.
            read_seconds: longest wait for the next bytes of an answer.
        """

        def current() -> "S3Credential":
            frozen = credentials.get_frozen_credentials()
            return {
                "access_key_id": frozen.access_key or "",
                "secret_access_key": frozen.secret_key or "",
                "token": frozen.token,
                "expires_at": datetime.now(UTC) + CREDENTIAL_LIFE,
            }

        options: ClientConfig = {
            "allow_http": True,
            "connect_timeout": timedelta(seconds=connect_seconds),
            "read_timeout": timedelta(seconds=read_seconds),
            "timeout": timedelta(seconds=ANSWER_SECONDS),
        }
        if certificates:
            options["root_certificate"] = certificates.read_bytes()
        self._store = S3Store(
            bucket,
            endpoint=endpoint,
            aws_endpoint_url_s3=endpoint,  # or the environment's would be preferred
            region=region,
            credential_provider=current,
            virtual_hosted_style_request=False,
            checksum_algorithm="SHA256",
            client_options=options,
            retry_config={"max_retries": 0},
        )
        self._failures = 0

    def get(self, name: str, span: tuple[int, int] | None = None, etag: str | None = None) -> Piece | None:
        """An object or its bytes from `span[0]` to before `span[1]`, of the version `etag` if that is given.

        None if that did not work, or if these are not the bytes that the ETag is the MD5 of.
        """
        options: GetOptions = {}
        if span:
            options["range"] = span
        if etag:
            options["if_match"] = etag

        def ask() -> Piece | None:
            answer = obstore.get(self._store, name, options=options)
            data = memoryview(answer.bytes())
            total, found = answer.meta["size"], answer.meta["e_tag"] or ""
            start, end = span or (0, total)
            whole = len(data) == total
            if answer.range != (start, min(end, total)) or len(data) != min(end, total) - start:
                return None
            return None if whole and differs(data, found) else Piece(data, total, found)

        return self._attempt(ask)

    def put(self, name: str, data: bytes, content_type: str) -> bool:
        """Put an object; whether it worked, and the store has these bytes by the ETag it answered."""

        def ask() -> bool | None:
            answer = obstore.put(
                self._store, name, data, attributes={"Content-Type": content_type}, use_multipart=False
            )
            return (answer["e_tag"] or "").strip('"') == digest(data) or None

        return bool(self._attempt(ask))

    def _attempt(self, ask: Callable[[], T | None]) -> T | None:
        if self._failures >= MAX_FAILURES:
            return None
        try:
            answer = ask()
        except FileNotFoundError:
            return None
        except (BaseError, OSError, ValueError):
            answer = None
        self._failures = 0 if answer is not None else self._failures + 1
        return answer


def differs(data: bytes | memoryview, etag: str) -> bool:
    """Whether an ETag that looks like the MD5 of its object is that of other bytes."""
    etag = etag.strip('"')
    return bool(re.fullmatch("[0-9a-f]{32}", etag)) and etag != digest(data)


def digest(data: bytes | memoryview) -> str:
    """The MD5 in hex."""
    return md5(data, usedforsecurity=False).hexdigest()
