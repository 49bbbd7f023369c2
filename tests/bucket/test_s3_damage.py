"""Bytes that change on the way down from an S3 server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mura_jobs.bucket.s3 import S3Bucket
from tests.bucket.proxy import Forward, Proxy, Request, Response
from tests.servers import SeaweedFS

DATA = bytes(range(256)) * 40


@pytest.fixture
def proxy(s3_server: SeaweedFS) -> Iterator[Proxy]:
    with Proxy(s3_server.endpoint).running() as running:
        yield running


@pytest.fixture
def bucket(proxy: Proxy, new_s3_prefix: Callable[[], str]) -> S3Bucket:
    name, _, prefix = new_s3_prefix().removeprefix("s3://").partition("/")
    return S3Bucket(name, prefix, proxy.endpoint)


def flip(times: int) -> Callable[[Request, Forward], Response | None]:
    """Change a bit of the first answers."""
    left = times

    def fault(request: Request, forward: Forward) -> Response | None:
        nonlocal left
        response = forward(request)
        if request.method == "GET" and left:
            left -= 1
            changed = bytearray(response.body)
            changed[len(changed) // 2] ^= 1 << left % 8
            response.body = bytes(changed)
        return response

    return fault


def downloaded(bucket: S3Bucket, folder: Path) -> bytes:
    bucket.download("key", folder / "f")
    return (folder / "f").read_bytes()


READERS: dict[str, Callable[[S3Bucket, Path], bytes]] = {
    "read": lambda bucket, _: bucket.read("key"),
    "read_all": lambda bucket, _: next(iter(bucket.read_all(["key"])))[1],
    "download": downloaded,
}


@pytest.mark.parametrize("name", ["read", "read_all", "download"])
def test_bytes_that_change_on_the_way_down_are_asked_for_again(
    name: str, bucket: S3Bucket, proxy: Proxy, tmp_path: Path
) -> None:
    """The ETag is their MD5; each answer is changed in another bit."""
    bucket.write("key", DATA)
    proxy.fault = flip(3)
    assert READERS[name](bucket, tmp_path) == DATA


def test_an_etag_that_is_no_md5_costs_one_more_request_once(bucket: S3Bucket, proxy: Proxy) -> None:
    """As with keys of one's own on AWS: what comes twice the same did not change on the way."""
    bucket.write("key", DATA)

    def other(request: Request, forward: Forward) -> Response | None:
        response = forward(request)
        response.headers = {k: v for k, v in response.headers.items() if k.lower() != "etag"}
        response.headers["ETag"] = '"' + "0" * 32 + '"'
        return response

    proxy.fault = other
    proxy.requests.clear()
    assert bucket.read("key") == bucket.read("key") == DATA
    assert len(proxy.requests) == 3
