"""What is special about S3: credentials, retries, lost answers, and stores that can do less."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
import socket
import ssl
import subprocess
import threading
import time
from typing import Any

import botocore.auth
import numpy as np
import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket, BucketDenied, BucketError, BucketUnsupported, ObjectMissing
from mura_jobs.bucket.s3 import S3Bucket
from mura_jobs.bucket.s3_parts import PART_BYTES
from mura_jobs.errors import ConfigError
from tests.bucket.proxy import Forward, Proxy, Request, Response, ignore_conditions, refuse_conditions
from tests.servers import ACCESS_KEY, READ_ONLY_ACCESS_KEY, SECRET_KEY, SeaweedFS, seaweedfs


@pytest.fixture
def url(new_s3_prefix: Callable[[], str]) -> str:
    return new_s3_prefix()


@pytest.fixture
def proxy(s3_server: SeaweedFS) -> Iterator[Proxy]:
    with Proxy(s3_server.endpoint).running() as running:
        yield running


@pytest.fixture
def bucket(url: str, proxy: Proxy) -> S3Bucket:
    """An empty bucket behind the proxy."""
    return s3_bucket(url, proxy.endpoint)


def s3_bucket(url: str, endpoint: str, attempts: int = 10) -> S3Bucket:
    name, _, prefix = url.removeprefix("s3://").partition("/")
    return S3Bucket(name, prefix, endpoint, attempts=attempts)


def keys(bucket: Bucket, prefix: str = "") -> list[str]:
    return [entry.key for entry in bucket.list(prefix)]


def is_put(request: Request) -> bool:
    return request.method == "PUT"


class Times:
    """True for the first `count` requests that match."""

    def __init__(self, count: int, matches: Callable[[Request], bool]) -> None:
        self.left = count
        self.matches = matches

    def __call__(self, request: Request) -> bool:
        """Whether this request is one of them."""
        if self.left == 0 or not self.matches(request):
            return False
        self.left -= 1
        return True


# Credentials and addresses


@pytest.mark.parametrize(
    "wrong",
    [
        ("wrong-access-key", SECRET_KEY, "the store does not know the access key; check AWS_ACCESS_KEY_ID"),
        (ACCESS_KEY, "wrong-secret-key", "the secret key is wrong; check AWS_ACCESS_KEY_ID and"),
    ],
)
def test_wrong_credentials_are_refused_at_once(
    s3_server: SeaweedFS, url: str, wrong: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By every operation, naming bucket, endpoint and what to check, and never the secret."""
    access_key, secret_key, advice = wrong
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret_key)
    bucket = open_bucket(f"{url}/denied", s3_server.endpoint)
    operations: list[Callable[[], object]] = [
        lambda: list(bucket.list()),
        lambda: bucket.read("key"),
        lambda: bucket.exists("key"),
        lambda: bucket.write("key", b""),
        lambda: bucket.create("key", b""),
        lambda: bucket.delete(["key"]),
        lambda: bucket.download("key", Path("/nowhere")),
        lambda: bucket.open("key"),
        bucket.check,
    ]
    for operation in operations:
        with pytest.raises(BucketDenied) as caught:
            operation()
        message = str(caught.value)
        assert advice in message
        assert f"{url}/denied at {s3_server.endpoint}" in message
        assert secret_key not in message
        assert caught.value.exit_code == 64


def test_what_the_credentials_may_not_do_is_said(
    s3_server: SeaweedFS, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading is allowed, each kind of writing is refused; a bulk delete names the key that it left."""
    open_bucket(url, s3_server.endpoint).write("raw/image.png", b"1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READ_ONLY_ACCESS_KEY)
    bucket = open_bucket(url, s3_server.endpoint)
    assert bucket.read("raw/image.png") == b"1"
    assert keys(bucket, "raw/") == ["raw/image.png"]
    writers: list[Callable[[], object]] = [
        lambda: bucket.write("key", b""),
        lambda: bucket.create("key", b""),
        lambda: bucket.write("key", bytes(PART_BYTES + 1)),
    ]
    for write in writers:
        with pytest.raises(BucketDenied, match=r"key: these credentials may not do.*PutObject"):
            write()
    with pytest.raises(BucketDenied, match=r"raw/image\.png: .*DeleteObject"):
        bucket.delete(["raw/image.png"])
    assert bucket.read("raw/image.png") == b"1"


def test_no_credentials_at_all(s3_server: SeaweedFS, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(BucketDenied, match=r"no credentials .*check AWS_ACCESS_KEY_ID"):
        open_bucket(url, s3_server.endpoint).read("key")


def test_an_unknown_profile(s3_server: SeaweedFS, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(BucketDenied, match="nobody"):
        open_bucket(url, s3_server.endpoint)


def test_an_endpoint_where_nobody_listens(url: str, s3_server: SeaweedFS) -> None:
    """A retryable error that names it, once the attempts are used up."""
    del s3_server  # its credentials are used
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        bucket = s3_bucket(url, endpoint, attempts=2)
        with pytest.raises(BucketError, match=r"unavailable in 2 attempts.*endpoint is right") as caught:
            bucket.read("key")
    assert endpoint in str(caught.value)
    assert type(caught.value) is BucketError
    assert caught.value.exit_code == 1


def test_a_wrong_clock_is_named(s3_server: SeaweedFS, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: tomorrow.replace(tzinfo=None))
    with pytest.raises(BucketError, match="clock"):
        open_bucket(url, s3_server.endpoint).read("key")


def test_the_endpoint_may_come_from_the_environment(
    s3_server: SeaweedFS, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name rather than by number, which only works without a host name per bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint.replace("127.0.0.1", "localhost"))
    bucket = open_bucket(url)
    bucket.write("environment", b"1")
    assert bucket.read("environment") == b"1"


def test_aws_itself_keeps_its_own_addressing_and_checksums(s3_server: SeaweedFS) -> None:
    del s3_server  # its credentials are used
    aws: Any = S3Bucket("some-bucket")._client.meta
    other: Any = S3Bucket("some-bucket", endpoint="http://localhost:1")._client.meta
    assert aws.endpoint_url.endswith(".amazonaws.com")
    assert "addressing_style" not in (aws.config.s3 or {})
    assert aws.config.request_checksum_calculation == "when_supported"
    assert other.config.s3 == {"addressing_style": "path"}
    assert other.config.request_checksum_calculation == "when_required"
    assert other.config.response_checksum_validation == "when_required"


# Faults on the way


def test_a_store_that_is_away_for_a_while_is_waited_for(
    bucket: S3Bucket, proxy: Proxy, tmp_path: Path
) -> None:
    """By all threads at once, which would spend the budget of botocore's own retries."""
    back = time.monotonic() + 2.0

    def away(request: Request, forward: Forward) -> Response | None:
        return forward(request) if time.monotonic() > back else None

    proxy.fault = away
    objects = [(f"image{i}", b"%d" % i) for i in range(100)]
    bucket.write_all(objects)
    data = np.random.default_rng(0).bytes(2 * PART_BYTES)
    (tmp_path / "source").write_bytes(data)
    back = time.monotonic() + 0.5
    bucket.upload(tmp_path / "source", "large")
    back = time.monotonic() + 0.5
    bucket.download("large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    back = time.monotonic() + 0.5
    assert list(bucket.read_all(key for key, _ in objects)) == objects


@pytest.mark.parametrize(
    "fault",
    [
        (503, "SlowDown"),
        (500, "InternalError"),
        (429, "TooMany"),
        (502, ""),
        (409, "ConditionalRequestConflict"),
    ],
)
def test_a_store_that_is_busy_is_asked_again(bucket: S3Bucket, proxy: Proxy, fault: tuple[int, str]) -> None:
    busy = Times(1, is_put)
    proxy.fault = lambda request, forward: Response.error(*fault) if busy(request) else forward(request)
    assert bucket.create("key", b"1")
    busy.left = 1
    bucket.write("key", b"2")
    assert bucket.read("key") == b"2"


def test_a_request_is_sent_as_often_as_attempts_says(url: str, proxy: Proxy) -> None:
    """And no more often: botocore's own retries would multiply the time until an error is seen."""
    bucket = s3_bucket(url, proxy.endpoint, attempts=3)
    proxy.fault = lambda *_: Response.error(503, "SlowDown")
    with pytest.raises(BucketError, match="still so after 3 attempts; try again later"):
        bucket.read("key")
    assert len(proxy.requests) == 3


@pytest.mark.parametrize("size", [1000, 2 * PART_BYTES])
def test_an_answer_that_breaks_off_is_asked_for_again(
    bucket: S3Bucket, proxy: Proxy, size: int, tmp_path: Path
) -> None:
    data = np.random.default_rng(0).bytes(size)
    bucket.write("key", data)

    def is_get(request: Request) -> bool:
        return request.method == "GET"

    def break_off(request: Request, forward: Forward) -> Response | None:
        response = forward(request)
        if breaks(request):
            response.body = response.body[: len(response.body) // 2]
        return response

    def download() -> bytes:
        bucket.download("key", tmp_path / "copy")
        return (tmp_path / "copy").read_bytes()

    proxy.fault = break_off
    readers: list[Callable[[], bytes]] = [
        lambda: bucket.read("key"),
        lambda: bucket.open("key").read(),
        download,
    ]
    for read in readers:
        breaks = Times(1, is_get)
        assert read() == data
        assert breaks.left == 0
    breaks = Times(1, is_get)
    assert [entry[:2] for entry in bucket.list()] == [("key", size)]
    assert breaks.left == 0


def test_bytes_that_change_on_the_way_up_do_not_arrive(bucket: S3Bucket, proxy: Proxy) -> None:
    """The signature covers them: the store refuses, and they are sent again."""
    flips = Times(1, is_put)

    def flip(request: Request, forward: Forward) -> Response | None:
        if flips(request):
            request.body = bytes([request.body[0] ^ 1]) + request.body[1:]
        return forward(request)

    proxy.fault = flip
    bucket.write("key", b"some bytes")
    assert flips.left == 0
    assert bucket.read("key") == b"some bytes"


def lose_answers(lost: Times) -> Callable[[Request, Forward], Response | None]:
    def lose(request: Request, forward: Forward) -> Response | None:
        response = forward(request)
        return None if lost(request) else response

    return lose


def test_a_creator_whose_answer_was_lost_has_won(bucket: S3Bucket, proxy: Proxy) -> None:
    """Its next attempt finds the key taken: by itself."""
    proxy.fault = lose_answers(Times(1, is_put))
    assert bucket.create("key", b"same")
    assert not bucket.create("key", b"same")


def test_a_creator_that_lost_the_race_and_the_answer_has_lost(bucket: S3Bucket, proxy: Proxy) -> None:
    """Even if the winner wrote the same bytes."""
    assert bucket.create("key", b"same")
    proxy.fault = lose_answers(Times(1, is_put))
    assert not bucket.create("key", b"same")


def test_an_upload_whose_last_answer_was_lost_is_complete(bucket: S3Bucket, proxy: Proxy) -> None:
    """The next attempt hears that there is no such upload, as AWS may say, or that it is complete."""
    completed = Times(1, lambda request: request.method == "POST" and "uploadId=" in request.path)
    again = Times(1, completed.matches)

    def lose(request: Request, forward: Forward) -> Response | None:
        if completed(request):
            forward(request)
            return None
        return Response.error(404, "NoSuchUpload") if again(request) else forward(request)

    proxy.fault = lose
    data = bytes(PART_BYTES + 1)
    bucket.write("key", data)
    assert (completed.left, again.left) == (0, 0)
    assert bucket.read("key") == data


def test_an_upload_that_someone_aborted_is_an_error(bucket: S3Bucket, proxy: Proxy) -> None:
    """Even if an object of that key is there."""
    bucket.write("key", b"old")
    aborted = Times(1, lambda request: request.method == "POST" and "uploadId=" in request.path)
    proxy.fault = lambda request, forward: (
        Response.error(404, "NoSuchUpload") if aborted(request) else forward(request)
    )
    with pytest.raises(BucketError, match="upload is over"):
        bucket.write("key", bytes(PART_BYTES + 1))
    assert bucket.read("key") == b"old"


def test_a_failed_upload_leaves_no_parts(bucket: S3Bucket, proxy: Proxy, s3_server: SeaweedFS) -> None:
    """They would be invisible and cost money."""
    third = Times(1, lambda request: "partNumber=3" in request.path)
    proxy.fault = lambda request, forward: (
        Response.error(403, "AccessDenied") if third(request) else forward(request)
    )
    with pytest.raises(BucketDenied):
        bucket.write("key", bytes(4 * PART_BYTES))
    assert not bucket.exists("key")
    left = s3_server.client().list_multipart_uploads(Bucket=bucket.name, Prefix=f"{bucket._prefix}key")
    assert "Uploads" not in left


def test_a_server_that_dies_in_the_middle(tmp_path: Path, s3_server: SeaweedFS) -> None:
    """Of an upload and a download: a clear error for each in bounded time, and nothing half at the target."""
    del s3_server  # its credentials are used
    with seaweedfs() as server, Proxy(server.endpoint).running() as proxy:
        bucket = s3_bucket(server.make_bucket("dying"), proxy.endpoint, attempts=3)
        source, target = tmp_path / "source", tmp_path / "folder" / "target"
        source.write_bytes(bytes(4 * PART_BYTES))
        bucket.upload(source, "key")
        second_part_both_ways = threading.Barrier(2, action=server.kill)
        ways = {
            "up": Times(2, lambda request: "partNumber=" in request.path),
            "down": Times(2, lambda request: "Range" in request.headers),
        }

        def die(request: Request, forward: Forward) -> Response | None:
            if any(way(request) and way.left == 0 for way in ways.values()):
                second_part_both_ways.wait(timeout=30)
            return forward(request)

        proxy.fault = die
        with ThreadPoolExecutor(2) as pool:
            transfers = [
                pool.submit(bucket.upload, source, "other"),
                pool.submit(bucket.download, "key", target),
            ]
        for transfer in transfers:
            error = transfer.exception()
            assert type(error) is BucketError
            assert "unavailable in 3 attempts" in str(error)
        assert list(target.parent.iterdir()) == []


@pytest.mark.slow
def test_a_server_that_is_killed_and_restarted_is_survived(tmp_path: Path, s3_server: SeaweedFS) -> None:
    """By an upload in the middle, within the ten attempts; what was acknowledged before is still there."""
    del s3_server  # its credentials are used
    with seaweedfs() as server, Proxy(server.endpoint).running() as proxy:
        bucket = open_bucket(server.make_bucket("restarted"), proxy.endpoint)
        data = np.random.default_rng(0).bytes(4 * PART_BYTES)
        (tmp_path / "source").write_bytes(data)
        killed = Times(1, lambda request: "partNumber=3" in request.path)

        def restart(request: Request, forward: Forward) -> Response | None:
            if killed(request):
                server.kill()
                server.start()
            return forward(request)

        bucket.write("before", b"1")
        proxy.fault = restart
        bucket.upload(tmp_path / "source", "key")
        assert killed.left == 0
        assert bucket.read("key") == data
        assert bucket.read("before") == b"1"


# Stores that can do less


def test_a_store_that_ignores_the_condition_is_found_out(
    bucket: S3Bucket, proxy: Proxy, s3_server: SeaweedFS
) -> None:
    proxy.fault = ignore_conditions(s3_server)
    with pytest.raises(BucketUnsupported, match="ignores the condition") as caught:
        bucket.check()
    assert caught.value.exit_code == 64
    assert keys(bucket) == []


def test_a_store_without_conditional_put_is_refused(bucket: S3Bucket, proxy: Proxy) -> None:
    proxy.fault = refuse_conditions
    with pytest.raises(BucketUnsupported, match=r"If-None-Match: \*") as caught:
        bucket.check()
    assert caught.value.exit_code == 64


def test_a_store_without_ranges_is_refused(bucket: S3Bucket, proxy: Proxy) -> None:
    """Its answer is the whole object, which must not be taken for the range."""
    bucket.write("key", b"0123456789")
    proxy.fault = lambda *_: Response(200, {"Content-Length": "10", "ETag": '"etag"'}, b"0123456789")
    with pytest.raises(BucketUnsupported, match="ignores Range"):
        bucket.read("key", 5, 2)


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_store_without_bulk_delete_deletes_one_by_one(bucket: S3Bucket, proxy: Proxy, status: int) -> None:
    bulk = Times(100, lambda request: request.method == "POST" and "delete" in request.path)
    proxy.fault = lambda request, forward: (
        Response.error(status, "MalformedXML") if bulk(request) else forward(request)
    )
    bucket.write_all((f"key{i}", b"") for i in range(10))
    bucket.delete([f"key{i}" for i in range(9)] + ["none"])
    assert keys(bucket) == ["key9"]
    bucket.delete(["key9"])
    assert keys(bucket) == []
    assert bulk.left == 99


def test_what_a_bulk_delete_leaves_is_deleted_one_by_one(bucket: S3Bucket, proxy: Proxy) -> None:
    bulk = Times(1, lambda request: request.method == "POST")

    def fail(request: Request, forward: Forward) -> Response | None:
        if not bulk(request):
            return forward(request)
        key = f"{bucket._prefix}key1"
        error = f"<Error><Key>{key}</Key><Code>InternalError</Code><Message>planted</Message></Error>"
        body = f"<DeleteResult>{error}</DeleteResult>".encode()
        return Response(200, {"Content-Length": str(len(body))}, body)

    bucket.write_all((f"key{i}", b"") for i in range(3))
    proxy.fault = fail
    bucket.delete(["key1"])
    assert keys(bucket) == ["key0", "key2"]


def test_a_listing_in_another_order_is_sorted(bucket: S3Bucket, proxy: Proxy) -> None:
    """And the empty objects that consoles make for folders are no entries."""
    contents = "".join(
        f"<Contents><Key>{bucket._prefix}{key}</Key><Size>1</Size></Contents>"
        for key in ("b", "a/", "c", "a/1")
    )
    body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>".encode()
    proxy.fault = lambda *_: Response(200, {"Content-Length": str(len(body))}, body)
    assert [entry[:2] for entry in bucket.list()] == [("a/1", 1), ("b", 1), ("c", 1)]


def test_a_report_can_be_read_where_it_lies(bucket: S3Bucket, s3_server: SeaweedFS) -> None:
    """A browser is told what it gets."""
    bucket.write("report/index.html", b"<p>")
    key = f"{bucket._prefix}report/index.html"
    answer = s3_server.client().head_object(Bucket=bucket.name, Key=key)
    assert answer["ContentType"] == "text/html"


def test_deleted_while_it_is_open(bucket: S3Bucket) -> None:
    bucket.write("key", bytes(1 << 20))
    file = bucket.open("key")
    bucket.delete(["key"])
    with pytest.raises(ObjectMissing):
        file.read()


# Many at once


def by_bulk(request: Request) -> bool:
    return "boto" not in request.headers["User-Agent"].lower()


def flip_half(response: Response) -> Response:
    middle = len(response.body) // 2
    response.body = response.body[:middle] + bytes([response.body[middle] ^ 1]) + response.body[middle + 1 :]
    return response


def test_many_objects_and_parts_go_the_quick_way(bucket: S3Bucket, proxy: Proxy, tmp_path: Path) -> None:
    """By one request each, with their type, below a prefix and with names that need quoting."""
    objects = [(f"a b/é %41+{i}.html", b"%d" % i * 1000) for i in range(50)]
    bucket.write_all(objects)
    assert list(bucket.read_all(key for key, _ in objects)) == objects
    assert list(map(by_bulk, proxy.requests)) == [False] + [True] * 100
    assert proxy.requests[1].headers["Content-Type"] == "text/html"
    bucket.write("large", bytes(2 * PART_BYTES + 1))
    proxy.requests.clear()
    bucket.download("large", tmp_path / "copy")
    assert list(map(by_bulk, proxy.requests)) == [True] * 3


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("faults", [1, 3])
def test_bytes_that_change_on_the_way_are_sent_again(
    bucket: S3Bucket, proxy: Proxy, way: str, faults: int
) -> None:
    """Also when the second way is asked and its answer is wrong as well."""
    objects = [("key", bytes(range(256)) * 40)]
    if way == "down":
        bucket.write_all(objects)
    flips = Times(faults, is_put if way == "up" else lambda request: request.path.endswith("key"))

    def flip(request: Request, forward: Forward) -> Response | None:
        if not flips(request):
            return forward(request)
        if way == "down":
            return flip_half(forward(request))
        request.body = b"\xff" + request.body[1:]
        return forward(request)

    proxy.fault = flip
    bucket.write_all(objects)
    assert list(bucket.read_all(["key"])) == objects
    assert bucket.read("key") == objects[0][1]
    assert flips.left == 0


def test_an_etag_that_is_no_digest_is_none(bucket: S3Bucket, proxy: Proxy) -> None:
    """As those of encrypted objects: what comes out twice is right, and it is found out once."""
    objects = [(f"key{i}", b"%d" % i * 100) for i in range(60)]

    def encrypt(request: Request, forward: Forward) -> Response | None:
        response = forward(request)
        for name in response.headers:
            if name.lower() == "etag":
                response.headers[name] = f'"{"e" * 32}"'
        return response

    proxy.fault = encrypt
    bucket.write_all(objects)
    assert list(bucket.read_all(key for key, _ in objects)) == objects
    proxy.requests.clear()
    assert list(bucket.read_all(key for key, _ in objects)) == objects
    assert [by_bulk(request) for request in proxy.requests] == [False] * 60


def test_bytes_that_always_change_are_an_error(url: str, proxy: Proxy) -> None:
    bucket = s3_bucket(url, proxy.endpoint, attempts=3)
    bucket.write("key", bytes(1000))
    positions = iter(range(1000))

    def flip(request: Request, forward: Forward) -> Response | None:
        response, at = forward(request), next(positions)
        response.body = response.body[:at] + b"\xff" + response.body[at + 1 :]
        return response

    proxy.fault = flip
    with pytest.raises(BucketError, match="BytesDiffer"):
        bucket.read("key")


def test_the_quick_way_asks_where_boto3_does(
    s3_server: SeaweedFS, url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that is given outweighs the environment's, and its absence doesn't."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    bucket = open_bucket(url, proxy.endpoint)
    bucket.write_all([("key", b"1")])
    assert [by_bulk(request) for request in proxy.requests] == [False, True]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    assert list(open_bucket(url).read_all(["key"])) == [("key", b"1")]
    assert [by_bulk(request) for request in proxy.requests] == [False, True, True]


def test_an_encrypted_connection_trusts_what_boto3_trusts(
    url: str, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authority that AWS_CA_BUNDLE names, and no other; a file that holds none is named."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    proxy._server.socket = context.wrap_socket(proxy._server.socket, server_side=True)
    endpoint = proxy.endpoint.replace("http:", "https:")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    trusting = open_bucket(url, endpoint)
    trusting.write_all([("key", b"1")])
    assert list(trusting.read_all(["key"])) == [("key", b"1")]
    assert list(map(by_bulk, proxy.requests)) == [False, True, True]
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with pytest.raises(BucketError, match="AWS_CA_BUNDLE"):
        list(open_bucket(url, endpoint).read_all(["key"]))
    (tmp_path / "none.pem").write_text("no certificate")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match=r"none\.pem"):
        open_bucket(url, endpoint)
    assert len(proxy.requests) == 3


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine and its key, beside its authority `authority.pem`."""
    paths = {name: folder / name for name in ("authority.pem", "authority.key", "own.pem", "own.key")}

    def make(certificate: str, key: str, *options: str) -> None:
        new = (
            "openssl",
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        )
        files = ("-out", str(paths[certificate]), "-keyout", str(paths[key]), "-days", "2")
        subprocess.run([*new, *files, *options], check=True, capture_output=True)

    make("authority.pem", "authority.key", "-subj", "/CN=authority")
    leaf = ("-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1")
    issuer = ("-CA", str(paths["authority.pem"]), "-CAkey", str(paths["authority.key"]))
    make("own.pem", "own.key", "-subj", "/CN=own", *leaf, *issuer)
    return paths["own.pem"], paths["own.key"]
